"""What is particular about connecting at each provider: where a browser is sent, whose tokens an answer holds, how a grant ends there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st

from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetched
from gateway.core.secret import Secret
from gateway.credentials.grants.connecting import LONGEST, Connecting, shown, typed
from gateway.credentials.grants.ending import Ending
from gateway.credentials.grants.exchange import given
from gateway.credentials.grants.grant import Grant
from gateway.credentials.grants.kept import Kept
from gateway.credentials.grants.model import Provider
from gateway.credentials.grants.providers import DEFINITIONS, places
from gateway.credentials.grants.refresh import Refused
from gateway.credentials.vault.keys import LocalKey
from gateway.credentials.vault.ring import Ring
from gateway.resources import Nobody
from gateway.store.sql.engine import Database
from gateway.store.sql.grants import GrantRows
from gateway.store.sql.leases import Leases
from gateway.store.sql.model import Sqlite
from tests.granting import KEY
from tests.issuer import FixedSecret, FrozenClock, ScriptedFetch

CLIENT = {"id": "us", "secret": {"env": "SECRET"}}
OWN = "https://git.example.com"


class EndingFetch(ScriptedFetch):
    """Also deletes."""

    def __init__(self, answers: Mapping[str, Any] | None = None) -> None:
        super().__init__(answers)
        self.deleted: list[tuple[str, Mapping[str, str], bytes | None]] = []

    async def delete(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        limit: int,
        timeout: float,
        allow_plaintext: bool = False,
        allow_private: bool = False,
        ca: str | None = None,
        body: bytes | None = None,
    ) -> Fetched:
        self.deleted.append((url, dict(headers), body))
        return await self.get(url, limit=limit, timeout=timeout)


def model(kind: str, **connect: Any) -> Provider:
    more = {"token_url": f"{OWN}/token"} if kind == "oauth" else {}
    urls = {"authorize_url": f"{OWN}/auth"} if kind == "oauth" else {}
    return Provider.model_validate({"kind": kind, "client": CLIENT, "connect": urls | connect, **more})


@pytest.fixture
def fetch() -> EndingFetch:
    return EndingFetch()


def at(provider: Provider, fetch: EndingFetch) -> Connecting:
    database = Database(Sqlite(file=Path("unopened.db")))  # nothing here asks it
    rows, clock = GrantRows(database), FrozenClock()
    kept = Kept(rows, Ring([LocalKey("k1", Secret(KEY.encode()))], clock.now), clock, Nobody())
    return Connecting(
        provider.kind, provider, kept, rows, Leases(database), fetch, clock, lambda reference: FixedSecret(b"canary-secret")
    )


def ending(provider: Provider, fetch: EndingFetch) -> Ending:
    assert provider.client is not None
    return Ending(provider, provider.client, fetch, FrozenClock(), lambda reference: FixedSecret(b"canary-secret"))


@pytest.mark.parametrize(
    ("kind", "host", "expected"),
    [
        ("github", "github.com", {"scope": "a b"}),
        ("gitlab", "gitlab.com", {"scope": "a b"}),
        ("atlassian", "auth.atlassian.com", {"scope": "a b", "audience": "api.atlassian.com", "prompt": "consent"}),
        ("slack", "slack.com", {"user_scope": "a,b"}),
        ("google", "accounts.google.com", {"scope": "a b", "access_type": "offline", "prompt": "consent"}),
        ("microsoft", "login.microsoftonline.com", {"scope": "a b"}),
        ("oauth", "git.example.com", {"scope": "a b"}),
    ],
)
def test_each_provider_is_asked_in_its_own_way(kind: str, host: str, expected: dict[str, str], fetch: EndingFetch) -> None:
    url = urlsplit(at(model(kind), fetch).entrance("https://gw.test/back", "state-1", "challenge-1", ["a", "b"]))
    asked = {name: values[0] for name, values in parse_qs(url.query).items()}
    common = {"response_type": "code", "client_id": "us", "redirect_uri": "https://gw.test/back", "state": "state-1"}
    assert (url.scheme, url.hostname) == ("https", host)
    assert asked == common | {"code_challenge": "challenge-1", "code_challenge_method": "S256"} | expected


def answered(kind: str, members: Any, status: int = 200) -> Any:
    return given(Fetched(status, {}, json.dumps(members).encode()), "idp.test", DEFINITIONS[kind])


def test_of_slacks_answer_only_what_the_person_gave_is_kept() -> None:
    person = {"id": "U1", "access_token": "canary-person", "scope": "chat:write,users:read", "token_type": "user"}
    pair = answered("slack", {"ok": True, "access_token": "canary-bot", "scope": "bot", "token_type": "bot", "authed_user": person})
    assert (pair.access, pair.scopes) == (Secret(b"canary-person"), ("chat:write", "users:read"))
    for without in ({"ok": True, "access_token": "canary-bot", "token_type": "bot"}, {"ok": True, "authed_user": {"id": "U1"}}):
        with pytest.raises(DependencyDown):
            answered("slack", without)


@pytest.mark.parametrize(
    ("kind", "members", "status"),
    [
        ("github", {"error": "bad_verification_code"}, 200),
        ("slack", {"ok": False, "error": "invalid_code"}, 200),
        ("slack", {"ok": False, "error": "code_already_used"}, 200),
        ("google", {"error": "invalid_grant"}, 400),
        ("oauth", {"error": "invalid_grant"}, 400),
    ],
)
def test_each_providers_way_of_refusing_a_code_is_known(kind: str, members: dict[str, Any], status: int) -> None:
    with pytest.raises(Refused):
        answered(kind, members, status)


def test_githubs_expiring_tokens_are_kept_with_what_refreshes_them() -> None:
    pair = answered(
        "github", {"access_token": "ghu_1", "expires_in": 28800, "refresh_token": "ghr_1", "scope": "", "token_type": "bearer"}
    )
    assert (pair.refresh, pair.expires_in, pair.scopes) == (Secret(b"ghr_1"), 28800.0, None)


@pytest.mark.parametrize(
    ("kind", "url", "members", "id", "name"),
    [
        ("github", "https://api.github.com/user", {"id": 583231, "login": "octocat"}, "583231", "octocat"),
        ("gitlab", "https://gitlab.com/api/v4/user", {"id": 1, "username": "john"}, "1", "john"),
        ("atlassian", "https://api.atlassian.com/me", {"account_id": "a:1", "email": "j@example.com"}, "a:1", "j@example.com"),
        ("slack", "https://slack.com/api/auth.test", {"ok": True, "user_id": "U1", "user": "jo"}, "U1", "jo"),
        (
            "google",
            "https://openidconnect.googleapis.com/v1/userinfo",
            {"sub": "10", "email": "j@example.com"},
            "10",
            "j@example.com",
        ),
        ("microsoft", "https://graph.microsoft.com/oidc/userinfo", {"sub": "AA"}, "AA", "AA"),
    ],
)
async def test_each_provider_is_asked_whose_a_token_is(
    kind: str, url: str, members: dict[str, Any], id: str, name: str, fetch: EndingFetch
) -> None:
    fetch.answers[url] = Fetched(200, {"x-oauth-scopes": "repo, user"}, json.dumps(members).encode())
    account = await at(model(kind), fetch).account(Secret(b"canary"))
    assert account is not None
    assert (account.id, account.name, account.scopes, fetch.shown) == (id, name, ("repo", "user"), ["Bearer canary"])
    for refusal in (Fetched(401, {}, b"{}"), Fetched(200, {}, b'{"ok": false, "error": "invalid_auth"}')):
        fetch.answers[url] = refusal
        with pytest.raises(Refused):
            await at(model(kind), fetch).account(Secret(b"canary"))
    for odd in (Fetched(200, {}, b"[]"), Fetched(200, {}, b"{}"), Fetched(500, {}, json.dumps(members).encode())):
        fetch.answers[url] = odd
        with pytest.raises(DependencyDown):
            await at(model(kind), fetch).account(Secret(b"canary"))


async def test_a_slack_user_of_another_workspace_is_another_account(fetch: EndingFetch) -> None:
    told = []
    for team in ("T1", "T2", "T1"):
        members = {"ok": True, "user_id": "U1", "user": "jo", "team_id": team}
        fetch.answers["https://slack.com/api/auth.test"] = Fetched(200, {}, json.dumps(members).encode())
        account = await at(model("slack"), fetch).account(Secret(b"canary"))
        assert account is not None
        told.append(account.whose)
    assert (told[0] == told[2], told[0] == told[1]) == (True, False)


def grant(client: str = "us") -> Grant:
    return Grant("x", "corp", "alice", access=Secret(b"canary-access"), refresh=Secret(b"canary-refresh"), client=client)


async def test_github_ends_a_grant_by_its_own_call(fetch: EndingFetch) -> None:
    url = "https://api.github.com/applications/us/grant"
    fetch.answers[url] = Fetched(204, {}, b"")
    assert await ending(model("github"), fetch).whole(grant()) == "yes"
    [(asked, headers, body)] = fetch.deleted
    assert (asked, headers["authorization"], body) == (url, "Basic dXM6Y2FuYXJ5LXNlY3JldA==", b'{"access_token":"canary-access"}')


async def test_github_ends_one_token_and_leaves_its_accounts_others(fetch: EndingFetch) -> None:
    url = "https://api.github.com/applications/us/token"
    fetch.answers[url] = Fetched(204, {}, b"")
    assert await ending(model("github"), fetch).one(grant()) == "yes"
    assert [asked for asked, *_ in fetch.deleted] == [url]


async def test_slack_ends_a_token_by_its_own_call(fetch: EndingFetch) -> None:
    for body, told in (
        (b'{"ok": true, "revoked": true}', "yes"),
        (b'{"ok": false, "error": "token_revoked"}', "yes"),
        (b'{"ok": false}', "no"),
    ):
        fetch.answers["https://slack.com/api/auth.revoke"] = Fetched(200, {}, body)
        assert await ending(model("slack"), fetch).whole(grant()) == told
    assert set(fetch.shown) == {"Bearer canary-access"}


@pytest.mark.parametrize(
    ("kind", "url"), [("gitlab", "https://gitlab.com/oauth/revoke"), ("google", "https://oauth2.googleapis.com/revoke")]
)
async def test_others_end_what_they_gave_by_the_standard_call(kind: str, url: str, fetch: EndingFetch) -> None:
    fetch.answers[url] = Fetched(200, {}, b"")
    assert await ending(model(kind), fetch).whole(grant()) == "yes"
    assert [(each.url, each.form["token"], each.form["token_type_hint"]) for each in fetch.posted] == [
        (url, "canary-refresh", "refresh_token"),
        (url, "canary-access", "access_token"),
    ]


async def test_what_cannot_be_ended_or_is_not_ours_to_end_is_told_so(fetch: EndingFetch) -> None:
    for kind in ("atlassian", "microsoft", "oauth"):
        assert await ending(model(kind), fetch).whole(grant()) == "not-offered"
    assert await ending(model("github"), fetch).whole(grant(client="")) == "not-offered"
    fetch.answers["https://gitlab.com/oauth/revoke"] = DependencyDown("away")
    assert await ending(model("gitlab"), fetch).whole(grant()) == "no"
    assert await ending(model("gitlab"), fetch).whole(None) == "no"
    assert (fetch.deleted, len(fetch.posted)) == ([], 1)


@pytest.mark.parametrize("kind", sorted(set(DEFINITIONS) - {"oauth"}))
def test_a_token_of_a_server_of_ones_own_is_shown_to_no_public_place(kind: str) -> None:
    connect = {"authorize_url": f"{OWN}/auth"}
    found = places(Provider.model_validate({"kind": kind, "token_url": f"{OWN}/token", "client": CLIENT, "connect": connect}))
    assert found == (f"{OWN}/auth", "", "", "")
    with pytest.raises(ValueError, match="its `authorize_url`, too"):
        Provider.model_validate({"kind": kind, "token_url": f"{OWN}/token", "client": CLIENT, "connect": {}})


@pytest.mark.parametrize(
    ("kind", "connect", "iss", "fine"),
    [
        ("oauth", {"issuer": OWN}, OWN, True),
        ("oauth", {"issuer": OWN}, None, False),
        ("oauth", {"issuer": OWN}, f"{OWN}/", False),
        ("oauth", {}, None, True),
        ("google", {}, None, True),
        ("google", {}, "https://accounts.google.com", True),
        ("google", {}, OWN, False),
    ],
)
def test_an_answer_that_names_another_issuer_is_not_this_providers(
    kind: str, connect: dict[str, Any], iss: str | None, fine: bool, fetch: EndingFetch
) -> None:
    assert at(model(kind, **connect), fetch).names(iss) is fine


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"kind": "github", "connect": {}}, "needs `client`"),
        ({"kind": "google", "client": CLIENT, "connect": {"personal_tokens": True}}, "have none that are sent as bearer"),
        (
            {
                "kind": "gitlab",
                "client": CLIENT,
                "token_url": f"{OWN}/t",
                "connect": {"authorize_url": f"{OWN}/a", "personal_tokens": True},
            },
            "needs `account_url`",
        ),
        ({"kind": "github", "client": CLIENT, "connect": {"revoke_url": "http://git.example.com/x"}}, "must be https"),
    ],
)
def test_what_cannot_work_is_refused_with_what_helps(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Provider.model_validate(keys)


@any_of(st.text() | st.integers() | st.none() | st.lists(st.text()))
def test_whatever_an_account_is_called_is_shown_on_one_bounded_line(value: Any) -> None:
    line = shown(value)
    assert len(line) <= LONGEST
    assert not any(ord(character) < 32 or character in "\u202e\u2028\ufeff" for character in line)


@any_of(st.text())
def test_what_is_typed_in_is_a_token_or_nothing(value: str) -> None:
    secret = typed(value)
    assert secret is None or all(33 <= octet <= 126 for octet in secret.reveal())
