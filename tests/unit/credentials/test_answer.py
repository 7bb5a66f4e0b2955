"""What is believed of a token endpoint's answer, and what of it is repeated."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import DependencyDown, GatewayError, Ungranted
from gateway.core.ports import Fetched
from gateway.credentials.answer import MAX_TOKEN, granted

CANARY = "canary-secret-9f"


def answer(members: Any, status: int = 200) -> Fetched:
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    return Fetched(status, {"content-type": "application/json"}, body)


@pytest.mark.parametrize(
    ("stated", "seconds"), [(3600, 3600), ("3600", 3600), (3599.9, 3599.9), (10**30, 1e9), (1, 1), (None, 300)], ids=repr
)
def test_a_token_with_its_life(stated: object, seconds: float) -> None:
    members = {"access_token": "abc.DEF-_~+/==", "token_type": "bEaReR", "expires_in": stated}
    fresh = granted(answer(members), "mint.test")
    assert (fresh.value, fresh.lifetime) == (b"abc.DEF-_~+/==", seconds)


@pytest.mark.parametrize("stated", [0, -1, -(10**30), "-1", "1e9", "", "٣", True, [3600], {}, "3600 ", "9" * 11, 1e-400], ids=repr)
def test_a_life_that_is_none_makes_the_answer_none(stated: object) -> None:
    with pytest.raises(DependencyDown, match="expires_in"):
        granted(answer({"access_token": "abc", "token_type": "Bearer", "expires_in": stated}), "mint.test")


@pytest.mark.parametrize(
    "token",
    [
        f"{CANARY}\r\nX-Evil: 1",
        f"{CANARY}\n",
        f"{CANARY} x",
        f"{CANARY}\x00",
        f"{CANARY}ä",
        CANARY + "x" * MAX_TOKEN,
        "",
        7,
        None,
        [CANARY],
        {"a": CANARY},
        True,
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_no_header_field_can_carry_is_no_token(token: object) -> None:
    with pytest.raises(DependencyDown) as caught:
        granted(answer({"access_token": token, "token_type": "Bearer", "expires_in": 60}), "mint.test")
    assert CANARY not in caught.value.detail
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("kind", ["DPoP", "mac", "N_A", "", 1, ["Bearer"], "Bearer "])
def test_a_token_of_a_type_we_do_not_know_is_not_used(kind: object) -> None:
    """RFC 6749 7.1."""
    with pytest.raises(DependencyDown, match="not a bearer token"):
        granted(answer({"access_token": "abc", "token_type": kind, "expires_in": 60}), "mint.test")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>" + CANARY.encode(),
        b"access_token=" + CANARY.encode(),
        b"[]",
        b"null",
        b'"x"',
        b'{"access_token":"a","access_token":"b"}',
        b'{"access_token":"a","ACCESS_TOKEN":"b"}',
        b'{"access_token":"a","expires_in":NaN}',
        b'{"access_token":"a","expires_in":1e999}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"access_token":' * 1000,
    ],
    ids=lambda body: repr(body)[:40],
)
def test_what_is_no_json_object_is_no_answer(body: bytes) -> None:
    with pytest.raises(DependencyDown) as caught:
        granted(answer(body), "mint.test")
    assert CANARY not in caught.value.detail


@pytest.mark.parametrize("status", [100, 204, 301, 302, 307, 400, 401, 403, 429, 500, 503])
def test_another_status_is_no_token_whatever_the_body_says(status: int) -> None:
    with pytest.raises(DependencyDown, match=f"mint.test: answered {status}"):
        granted(answer({"access_token": "abc", "token_type": "Bearer"}, status), "mint.test")


def test_of_an_error_only_its_code_is_told() -> None:
    said = {"error": "invalid_client", "error_description": f"bad secret {CANARY}", "error_uri": f"https://x/{CANARY}"}
    with pytest.raises(DependencyDown) as caught:
        granted(answer(said, 401), "mint.test")
    assert caught.value.detail == "mint.test: answered 401 invalid_client"


@pytest.mark.parametrize("code", [CANARY, f"secret is {CANARY}", CANARY * 10, "a\nb", 7, ["x"], None])
def test_a_code_that_is_none_is_not_told(code: object) -> None:
    with pytest.raises(DependencyDown) as caught:
        granted(answer({"error": code}, 400), "mint.test")
    assert caught.value.detail == "mint.test: answered 400"


def test_a_refusal_of_the_subject_is_told_from_one_of_ourselves() -> None:
    with pytest.raises(Ungranted):
        granted(answer({"error": "invalid_grant"}, 400), "mint.test", {"invalid_grant"})
    with pytest.raises(DependencyDown):
        granted(answer({"error": "invalid_client"}, 400), "mint.test", {"invalid_grant"})


@given(
    st.binary(max_size=300)
    | st.dictionaries(
        st.sampled_from(["access_token", "token_type", "expires_in", "error", "x"]),
        st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4),
    )
)
def test_whatever_comes_it_is_a_token_or_an_error(said: Any) -> None:
    try:
        fresh = granted(answer(said), "mint.test")
    except GatewayError:
        return
    assert all(0x21 <= octet <= 0x7E for octet in fresh.value)
    assert fresh.value
    assert fresh.lifetime > 0
