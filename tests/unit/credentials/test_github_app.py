"""Installation tokens: for the repository in the path and the permission its method needs, and for nothing else."""

import asyncio
import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gateway.core.decision import Permit
from gateway.core.errors import DependencyDown, Ungranted
from gateway.core.message import NO_BODY, Outbound
from gateway.core.ports import Fetched, Injector
from gateway.credentials.github_app import asked
from gateway.credentials.injectors import build
from gateway.credentials.model import Credential
from tests.githubish import ACCOUNT, APP, INSTALLATION, Github
from tests.house import Seen
from tests.issuer import FixedSecret, FrozenClock, Posted, ScriptedFetch, request
from tests.minting import Asked, workshop

URL = f"https://api.github.com/app/installations/{INSTALLATION}/access_tokens"
GITHUB = Github()


class Bench:
    """An injector in front of the stand-in, without a socket."""

    def __init__(self, **keys: Any) -> None:
        self.clock = FrozenClock()
        self.github = Github(key=GITHUB.key, clock=self.clock.now)
        self.fetch = ScriptedFetch({URL: self._answer})
        credential = TypeAdapter[Any](Credential).validate_python(
            {
                "inject": "github_app",
                "app_id": APP,
                "installation_id": INSTALLATION,
                "account": ACCOUNT,
                "private_key": {"env": "K"},
                "permissions": {"issues": "write", "contents": "write", "metadata": "read"},
                **keys,
            }
        )
        shop = workshop(lambda _: FixedSecret(GITHUB.pem.encode()), fetch=self.fetch, clock=self.clock)
        self.injector: Injector = build("app", credential, shop)
        self.reply: Fetched | None = None

    async def _answer(self) -> Fetched:
        if self.reply is not None:
            return self.reply
        posted: Posted = self.fetch.posted[-1]
        headers = [*posted.headers.items(), ("user-agent", "latchgate")]
        raw = self.github.mint(Asked("POST", posted.url.removeprefix("https://api.github.com"), headers, posted.body))
        head, _, body = raw.partition(b"\r\n\r\n")
        return Fetched(int(head.split(b" ", 2)[1]), {}, body)

    async def inject(self, method: str, target: str) -> bytes:
        outbound = Outbound(method=method, target=target.encode(), headers=[], body=NO_BODY, request=request())
        coming = self.injector.inject(outbound, cast("Permit", None))
        if coming is not None:
            await coming
        return b"".join(outbound.lines)


@pytest.mark.parametrize(
    ("method", "target", "repository", "permissions"),
    [
        ("GET", "/repos/octocat/hello-world/issues?x=1", "hello-world", {"issues": "read"}),
        ("HEAD", "/repos/octocat/hello-world/issues/42/comments", "hello-world", {"issues": "read"}),
        ("POST", "/repos/octocat/hello-world/issues", "hello-world", {"issues": "write"}),
        ("PATCH", "/repos/OctoCat/Hello-World/labels/a%2Fb", "hello-world", {"issues": "write"}),
        ("GET", "/repos/octocat/secrets/contents/README.md", "secrets", {"contents": "read"}),
        ("PUT", "/api/v3/repos/octocat/secrets/contents/a", "secrets", {"contents": "write"}),
        ("GET", "/repos/octocat/secrets", "secrets", {"issues": "read", "contents": "read", "metadata": "read"}),
        ("DELETE", "/repos/octocat/secrets/never-heard-of", "secrets", {"issues": "write", "contents": "write"}),
    ],
)
async def test_a_token_is_for_one_repository_and_what_the_request_needs(
    method: str, target: str, repository: str, permissions: dict[str, str]
) -> None:
    bench = Bench()
    assert (await bench.inject(method, target)).startswith(b"authorization: Bearer ghs_")
    assert bench.github.minted == [{"repositories": [repository], "permissions": permissions}]


async def test_each_repository_and_level_has_one_token() -> None:
    bench = Bench()
    for _ in range(3):
        for method in ("GET", "HEAD", "POST", "PATCH"):
            for name in ("hello-world", "secrets", "Secrets"):
                await bench.inject(method, f"/repos/octocat/{name}/issues")
    assert len(bench.github.minted) == 4


async def test_a_token_is_minted_anew_five_minutes_before_its_end() -> None:
    bench = Bench()
    await bench.inject("GET", "/repos/octocat/secrets/issues")
    bench.clock.advance(3300)
    await bench.inject("GET", "/repos/octocat/secrets/issues")
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(bench.github.minted) == 2


@pytest.mark.parametrize(
    ("method", "target", "keys"),
    [
        ("GET", "/repos/somebody-else/hello-world/issues", {}),
        ("GET", "/user", {}),
        ("GET", "/", {}),
        ("POST", "/graphql", {}),
        ("GET", "/repos/octocat", {}),
        ("GET", "/x/repos/octocat/secrets", {}),
        ("GET", "/repos/octocat/a%2Fb/issues", {}),
        ("GET", "/repos/octocat/secrets/issues", {"repositories": ["hello-world"]}),
        ("GET", "/repos/octocat/secrets/actions/runs", {}),
        ("POST", "/repos/octocat/secrets/issues", {"permissions": {"issues": "read"}}),
        ("GET", "/repos/octocat/unknown/issues", {}),
        ("POST", "/octocat/secrets.git/git-receive-pack", {"permissions": {"contents": "read"}}),
        ("GET", "/octocat/secrets.git/info/refs?service=git-receive-pack", {"permissions": {"contents": "read"}}),
    ],
)
async def test_what_the_installation_is_not_for_gets_no_token(method: str, target: str, keys: dict[str, Any]) -> None:
    bench = Bench(**keys)
    with pytest.raises(Ungranted):
        await bench.inject(method, target)
    assert bench.github.minted == []


async def test_everywhere_is_a_choice_and_stays_within_the_repositories_named() -> None:
    bench = Bench(everywhere=True, repositories=["secrets"])
    await bench.inject("GET", "/installation/repositories")
    assert bench.github.minted[0]["repositories"] == ["secrets"]


@pytest.mark.parametrize(
    ("method", "target", "level"),
    [
        ("GET", "/octocat/secrets.git/info/refs?service=git-upload-pack", "read"),
        ("POST", "/octocat/secrets.git/git-upload-pack", "read"),
        ("GET", "/octocat/secrets/info/refs?service=git-receive-pack", "write"),
        ("POST", "/octocat/secrets.git/git-receive-pack", "write"),
    ],
)
async def test_git_is_told_by_basic(method: str, target: str, level: str) -> None:
    bench = Bench()
    assert (await bench.inject(method, target)).startswith(b"authorization: Basic ")
    assert bench.github.minted == [{"repositories": ["secrets"], "permissions": {"contents": level}}]


@pytest.mark.parametrize(
    "members",
    [
        {"token": "ghs_x", "expires_at": "2027-01-15T09:00:00Z", "repository_selection": "all"},
        {"token": "ghs_x", "expires_at": "2027-01-15T09:00:00Z", "repositories": [{"name": "secrets"}, {"name": "other"}]},
        {"token": "ghs_x", "expires_at": "2027-01-15T09:00:00Z", "repositories": []},
        {"token": "ghs_x", "expires_at": "2027-01-15T09:00:00Z", "repositories": "secrets"},
        {"token": "ghs_x", "expires_at": "2020-01-15T09:00:00Z"},
        {"token": "ghs_x"},
        {"token": "ghs_x\r\nx: y", "expires_at": "2027-01-15T09:00:00Z"},
        {},
    ],
    ids=repr,
)
async def test_a_token_for_more_than_was_asked_for_or_without_an_end_is_not_used(members: dict[str, Any]) -> None:
    bench = Bench()
    bench.reply = Fetched(201, {}, json.dumps(members).encode())
    with pytest.raises(DependencyDown):
        await bench.inject("GET", "/repos/octocat/secrets/issues")


@given(st.text(max_size=60).map(lambda text: "/" + text) | st.from_regex(r"/repos/[^/]*/[^/]*/[a-z-]*", fullmatch=True))
def test_whatever_the_path_it_names_at_most_one_plain_repository(path: str) -> None:
    found = asked("GET", path.encode("utf-8", "surrogatepass"))
    if found.repository is not None:
        assert "/" not in found.repository
        assert found.repository.isascii()
        assert f"/{found.account}/{found.repository}" in path


def test_the_stand_in_honours_what_a_token_is_for() -> None:
    """A guard on the guard."""
    assert b" 401 " in GITHUB.serve(Seen("GET", "/repos/octocat/secrets/issues", [("authorization", "Bearer x")], b""))
