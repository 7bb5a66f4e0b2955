"""GitHub's published description as what a route takes: its own client's calls pass, everything else is refused before the upstream."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.external.mock import NODE, prism, run
from tests.house import House, house

REPO = "/repos/{owner}/{repo}"
ISSUE = f"{REPO}/issues/{{issue_number}}"
PATHS = (
    REPO,
    f"{REPO}/issues",
    ISSUE,
    f"{ISSUE}/labels",
    f"{ISSUE}/labels/{{name}}",
    f"{ISSUE}/comments",
    f"{REPO}/pulls",
    f"{REPO}/contents/{{path}}",
    f"{REPO}/compare/{{basehead}}",
    f"{REPO}/git/refs",
    "/user/starred/{owner}/{repo}",
    "/users/{username}",
    "/search/issues",
)
DESCRIPTION = NODE / "node_modules" / "@octokit" / "openapi" / "generated" / "api.github.com.json"


@dataclass
class Github:
    """A gateway that knows all of GitHub's description, before a mock of a part of it."""

    gateway: House
    token: str
    outcomes: dict[str, Any]

    async def refused(self, method: str, target: str, body: Any = None, type: str = "application/json") -> str:
        """The reason of a refusal, with the place of the first finding."""
        raw = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": type} if raw else {}
        reply = await self.gateway.get(f"/github{target}", method=method, token=self.token, headers=headers, body=raw)
        assert reply["Content-Type"] == "application/problem+json", reply
        found = reply.json().get("errors")
        return str(reply.json()["type"]).rpartition(":")[2] + (f" {found[0]['pointer']} {found[0]['keyword']}" if found else "")


def route() -> dict[str, Any]:
    return {
        "name": "github",
        "match": {"path": "/github/**"},
        "upstream": "github",
        "rewrite": {"strip_prefix": "/github"},
        "authenticate": ["jwt.corp"],
        # One format of GitHub's own, `repo.nwo`, is checked by nothing here.
        "validate": {"openapi": {"file": str(DESCRIPTION), "unknown_formats": "ignore", "responses": "report"}},
    }


@pytest.fixture
async def github(node: str, tmp_path: Path) -> AsyncIterator[Github]:
    async with prism(node, tmp_path, *PATHS) as mock:
        upstream = {"url": f"http://127.0.0.1:{mock}", "allow_plaintext": True, "allow_private": True}
        async with house(tmp_path, routes=[route()], upstreams={"github": upstream}) as gateway:
            host, port = gateway.address()
            token = gateway.keys.token()
            out = await run(node, str(NODE / "calls.mjs"), GATEWAY_URL=f"http://{host}:{port}/github", GATEWAY_TOKEN=token)
            yield Github(gateway, token, json.loads(out))


CREATED = {"create", "comment", "pull", "ref"}
WRONG: list[tuple[str, str, Any, str]] = [
    ("GET", "/repos/octocat/hello-world/secrets", None, "no-route"),
    ("GET", "/repos/octocat", None, "no-route"),
    ("GET", "/admin/users", None, "no-route"),
    ("GET", "/repos/octocat/hello-world/issues/42/", None, "no-route"),
    ("PUT", "/repos/octocat/hello-world/issues", None, "method-not-allowed"),
    ("DELETE", "/repos/octocat/hello-world/issues/42", None, "method-not-allowed"),
    ("GET", "/repos/octocat/hello-world/issues/4.2", None, "param-invalid /path/issue_number type"),
    ("GET", "/repos/octocat/hello-world/issues/042", None, "param-invalid /path/issue_number type"),
    ("GET", "/repos/octocat/hello-world/issues?state=any", None, "query-invalid /query/state enum"),
    ("GET", "/repos/octocat/hello-world/issues?per_page=2&per_page=3", None, "query-invalid /query/per_page type"),
    ("GET", "/repos/octocat/hello-world/issues?admin=true", None, "query-invalid /query additionalProperties"),
    ("GET", "/repos/octocat/hello-world/issues?since=yesterday", None, "query-invalid /query/since format"),
    ("GET", "/search/issues", None, "query-invalid /query required"),
    ("POST", "/repos/octocat/hello-world/issues", {}, "body-invalid  required"),
    ("POST", "/repos/octocat/hello-world/issues", {"title": "a", "labels": [[]]}, "body-invalid /labels/0 oneOf"),
    ("POST", "/repos/octocat/hello-world/issues", {"title": "a", "body": 5}, "body-invalid /body type"),
    ("POST", "/repos/octocat/hello-world/issues", None, "body-invalid  required"),
    ("PATCH", "/repos/octocat/hello-world/issues/42", {"state": "gone"}, "body-invalid /state enum"),
    ("GET", "/repos/octocat/hello-world/issues", {"a": 1}, "body-invalid  requestBody"),
]


async def test_githubs_description_passes_its_clients_calls_and_refuses_what_it_does_not_know(github: Github) -> None:
    expected = {name: 201 if name in CREATED else 204 if name == "star" else 200 for name in github.outcomes}
    assert github.outcomes == expected
    assert len(expected) == 16
    passed = len(await github.gateway.requests())
    assert [(method, target, await github.refused(method, target, body)) for method, target, body, _ in WRONG] == [
        (method, target, outcome) for method, target, _, outcome in WRONG
    ]
    assert await github.refused("POST", "/repos/octocat/hello-world/issues", {"title": "a"}, "text/plain") == "media-type"
    events = await github.gateway.requests()
    assert {event["upstream_ms"] for event in events[passed:]} == {None}
    [(_, described)] = github.gateway.process.resources.descriptions
    assert {(each["method"], each["path"]) for each in described.status()["unknown"]} == {
        ("DELETE", "/repos/{owner}/{repo}/issues/{issue_number}"),
        ("GET", "/admin/users"),
        ("GET", "/repos/{owner}/{repo}/issues/{issue_number}/{}"),
        ("GET", "/repos/{owner}/{repo}/secrets"),
        ("GET", "/repos/{owner}"),
        ("PUT", "/repos/{owner}/{repo}/issues"),
    }
