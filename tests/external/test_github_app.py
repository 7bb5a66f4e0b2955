"""GitHub's own client, through the gateway, to a stand-in that knows apps: what the client calls decides what each token is for.

The same stand-in mints for GitHub's own library for apps, so that it asks for no more than GitHub does.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.external.mock import NODE, run
from tests.githubish import ACCOUNT, APP, INSTALLATION, Github
from tests.house import House, house
from tests.minting import Mint


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@asynccontextmanager
async def behind(folder: Path, authority: trustme.CA, github: Github) -> AsyncIterator[House]:
    """A gateway that holds the app's key."""
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    async with Mint(authority, github.mint, name="127.0.0.1") as mint:
        app: dict[str, Any] = {
            "inject": "github_app",
            "app_id": APP,
            "installation_id": INSTALLATION,
            "account": ACCOUNT,
            "private_key": {"env": "APP_KEY"},
            "permissions": {"issues": "write", "metadata": "read"},
            "api": mint.url(""),
            "dial": {"ca": str(folder / "ca.pem"), "allow_private": True},
        }
        routes = [
            {
                "name": "github",
                "match": {"path": "/github/repos/{owner}/{repo}/**"},
                "upstream": "plain",
                "rewrite": {"strip_prefix": "/github"},
                "authenticate": ["jwt.corp"],
                "credential": "bot",
            }
        ]
        async with house(folder, credentials={"bot": app}, routes=routes, environ={"APP_KEY": github.pem}) as gateway:
            gateway.upstream.answer = github.serve
            yield gateway


async def test_octokit_works_with_an_app_that_it_knows_nothing_of(node: str, authority: trustme.CA, tmp_path: Path) -> None:
    github = Github()
    async with behind(tmp_path, authority, github) as gateway:
        host, port = gateway.address()
        token = gateway.keys.token()
        out = await run(node, str(NODE / "client.mjs"), GATEWAY_URL=f"http://{host}:{port}/github", GATEWAY_TOKEN=token)
        outcomes = json.loads(out)
        assert {name: outcome["status"] for name, outcome in outcomes.items()} == {
            "list": 200,
            "create": 200,
            "get": 200,
            "theirs": 403,
            "unmocked": 200,
            "unrouted": 200,
        }
        assert outcomes["theirs"]["type"] == "urn:latchgate:problem:upstream-credential-missing"
        assert github.minted == [
            {"repositories": ["hello-world"], "permissions": {"issues": "read"}},
            {"repositories": ["hello-world"], "permissions": {"issues": "write"}},
            {"repositories": ["hello-world"], "permissions": {"issues": "read", "metadata": "read"}},
        ]
        assert all(seen.all("authorization")[0].startswith("Bearer ghs_") for seen in gateway.upstream.seen)
        assert {event["subject"] for event in await gateway.requests()} == {"alice"}


async def test_the_stand_in_is_one_to_githubs_own_library_for_apps(node: str, authority: trustme.CA, tmp_path: Path) -> None:
    github = Github()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with Mint(authority, github.mint, name="127.0.0.1") as mint:
        out = await run(
            node,
            str(NODE / "app.mjs"),
            GITHUB_URL=mint.url(""),
            APP_ID=APP,
            APP_KEY=github.pem,
            INSTALLATION=str(INSTALLATION),
            NODE_EXTRA_CA_CERTS=str(tmp_path / "ca.pem"),
        )
    said = json.loads(out)
    assert said["token"].startswith("ghs_")
    assert github.minted == [{"repositories": ["hello-world"], "permissions": {"issues": "read"}}]
