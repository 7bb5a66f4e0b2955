"""What a provider's answer means beside its tokens, where it is asked, and how we prove ourselves there."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetched
from gateway.core.secret import Secret
from gateway.credentials.grants.exchange import MOST_SCOPES, Nobody, asking, pair
from gateway.credentials.grants.model import Provider
from gateway.credentials.grants.providers import DEFINITIONS, token_url
from gateway.credentials.grants.refresh import Pair, Refused
from tests.issuer import FixedSecret, FrozenClock, ScriptedFetch

SOUND = {"access_token": "canary-access", "refresh_token": "canary-refresh", "token_type": "Bearer", "expires_in": 3600}


def answered(members: Any, status: int = 200, kind: str = "oauth") -> Pair:
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    return pair(Fetched(status, {}, body), "idp.test", DEFINITIONS[kind])


def test_a_whole_answer_is_a_pair_with_what_it_may_do_and_for_how_long() -> None:
    given = answered(SOUND | {"scope": "read write"})
    assert given == Pair(Secret(b"canary-access"), Secret(b"canary-refresh"), 3600.0, ("read", "write"))


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"refresh_token": None}, {"refresh": None}),
        ({"refresh_token": "no token\n"}, {"refresh": None}),
        ({"expires_in": None}, {"expires_in": None}),
        ({"expires_in": "soon"}, {"expires_in": None}),
        ({"expires_in": -1}, {"expires_in": None}),
        ({"scope": "a,b c"}, {"scopes": ("a", "b", "c")}),
        ({"scope": ""}, {"scopes": None}),
        ({"scope": ["a"]}, {"scopes": None}),
        ({"scope": " ".join(map(str, range(1000)))}, {"scopes": tuple(map(str, range(MOST_SCOPES)))}),
        ({"token_type": None}, {}),
        ({"token_type": "bEARER"}, {}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_whatever_is_odd_beside_the_access_token_costs_no_pair(members: dict[str, Any], expected: dict[str, Any]) -> None:
    """The old refresh token may be gone."""
    given = answered(SOUND | members)
    assert given.access == Secret(b"canary-access")
    assert {name: getattr(given, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("kind", "members", "status"),
    [
        ("oauth", {"error": "invalid_grant"}, 400),
        ("atlassian", {"error": "invalid_grant"}, 403),
        ("github", {"error": "bad_refresh_token"}, 200),
        ("slack", {"ok": False, "error": "invalid_refresh_token"}, 200),
        ("google", {"error": "invalid_grant", "error_description": "canary"}, 400),
    ],
)
def test_each_providers_way_of_saying_that_a_grant_is_over_is_known(kind: str, members: dict[str, Any], status: int) -> None:
    with pytest.raises(Refused):
        answered(members, status, kind)


@pytest.mark.parametrize(
    ("members", "status", "told"),
    [
        ({"error": "invalid_client"}, 401, "answered 401 invalid_client"),
        ({"error": "bad_refresh_token"}, 200, "answered 200"),
        ({"error": "slow_down", **SOUND}, 200, "answered 200 slow_down"),
        ({"ok": False, **SOUND}, 200, "answered 200"),
        (SOUND, 500, "answered 500"),
        ({"access_token": ""}, 200, "idp.test"),
        ({"access_token": "two words"}, 200, "idp.test"),
        ({**SOUND, "token_type": "mac"}, 200, "not a bearer token"),
        (b"<html>canary</html>", 502, "answered 502"),
        (b"", 200, "answered 200"),
        (b"[]", 200, "answered 200"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_everything_else_breaks_no_grant_and_tells_no_token(members: Any, status: int, told: str) -> None:
    with pytest.raises(DependencyDown, match=told) as failure:
        answered(members, status)
    assert "canary" not in str(failure.value)


@given(body=st.binary(max_size=200) | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5).map(
    lambda value: json.dumps({"access_token": value, "refresh_token": value, "expires_in": value, "scope": value}).encode()
), status=st.sampled_from([200, 201, 204, 400, 500]))  # fmt: skip
def test_no_answer_does_anything_else(body: bytes, status: int) -> None:
    try:
        given = answered(body, status)
    except (DependencyDown, Refused):
        return
    assert given.access.reveal().isascii()


def provider(**keys: Any) -> Provider:
    return Provider.model_validate(keys)


CLIENT = {"id": "us", "secret": {"env": "SECRET"}}


@pytest.mark.parametrize("kind", sorted(set(DEFINITIONS) - {"oauth"}))
def test_every_provider_is_asked_over_https_at_a_place_that_is_known(kind: str) -> None:
    assert token_url(provider(kind=kind)).startswith("https://")
    own = "https://git.example.com/oauth/token"
    assert token_url(provider(kind=kind, token_url=own)) == own


def test_microsofts_place_has_its_tenant() -> None:
    found = token_url(provider(kind="microsoft", tenant="contoso.example"))
    assert found == "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token"
    with pytest.raises(ValueError, match="tenant"):
        provider(kind="microsoft", tenant="../evil")


def test_a_server_of_no_known_kind_says_where_it_is() -> None:
    with pytest.raises(ValueError, match="needs `token_url`"):
        provider(kind="oauth", client=CLIENT)
    provider(kind="oauth")


async def test_without_a_client_nothing_is_refreshed() -> None:
    ask = asking(provider(kind="github"), ScriptedFetch(), FrozenClock(), lambda reference: FixedSecret(b"s"))
    assert isinstance(ask, Nobody)
    with pytest.raises(DependencyDown, match="no `client`"):
        await ask(Secret(b"canary"))


@pytest.mark.parametrize(
    ("kind", "auth", "in_form"),
    [
        ("github", None, True),
        ("oauth", None, False),
        ("github", "client_secret_basic", False),
        ("oauth", "client_secret_post", True),
    ],
)
async def test_a_client_proves_itself_as_its_provider_wants_or_as_it_is_told(kind: str, auth: str | None, in_form: bool) -> None:
    client = CLIENT | ({"auth": auth} if auth else {})
    fetch = ScriptedFetch({"https://idp.test/token": Fetched(200, {}, json.dumps(SOUND).encode())})
    model = provider(kind=kind, client=client, token_url="https://idp.test/token")
    ask = asking(model, fetch, FrozenClock(), lambda reference: FixedSecret(b"canary-secret"))
    assert (await ask(Secret(b"refresh-0"))).access == Secret(b"canary-access")
    (posted,) = fetch.posted
    assert (posted.form.get("client_secret") == "canary-secret") == in_form
    assert ("authorization" in posted.headers) == (not in_form)
    assert (posted.form["grant_type"], posted.form["refresh_token"]) == ("refresh_token", "refresh-0")


def test_a_person_is_refreshed_by_what_stands_apart_in_slacks_answer_or_by_all_of_it() -> None:
    person = {"access_token": "canary-person", "refresh_token": "canary-next", "token_type": "user", "expires_in": 43200}
    apart = answered({"ok": True, "access_token": "canary-bot", "token_type": "bot", "authed_user": person}, kind="slack")
    whole = answered({"ok": True, "authed_user": {"id": "U1"}, **person}, kind="slack")
    assert [each.access for each in (apart, whole)] == [Secret(b"canary-person")] * 2
    assert [each.refresh for each in (apart, whole)] == [Secret(b"canary-next")] * 2
