"""What answers tell of an upstream's own limits: the fields that large APIs really send, and anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.message import Response
from gateway.upstream.told import Told, items, moment, read

NOW = 1_780_000_000.0


def told(status: int, *fields: tuple[bytes, bytes]) -> Told:
    found = read(Response(status, fields), NOW)
    assert found is not None
    return found


def test_github_says_limit_remaining_reset_as_a_time_and_which_resource() -> None:
    found = told(
        200,
        (b"x-ratelimit-limit", b"5000"),
        (b"x-ratelimit-remaining", b"4987"),
        (b"x-ratelimit-reset", b"1780000600"),
        (b"x-ratelimit-resource", b"core"),
    )
    assert (found.limit, found.remaining, found.resets, found.resource, found.until) == (5000, 4987, NOW + 600, "core", None)


def test_gitlab_says_the_same_without_the_x() -> None:
    found = told(200, (b"ratelimit-limit", b"600"), (b"ratelimit-remaining", b"1"), (b"ratelimit-reset", b"1780000060"))
    assert (found.limit, found.remaining, found.resets) == (600, 1, NOW + 60)


def test_jira_says_when_as_an_iso_time() -> None:
    found = told(200, (b"x-ratelimit-remaining", b"0"), (b"x-ratelimit-reset", b"2026-05-28T20:27Z"))
    assert found.remaining == 0
    assert found.resets == 1780000020.0


def test_others_say_seconds_from_now() -> None:
    assert told(200, (b"x-ratelimit-remaining", b"7"), (b"x-ratelimit-reset", b"30")).resets == NOW + 30


@pytest.mark.parametrize("status", [403, 429], ids=str)
@pytest.mark.parametrize(
    ("value", "until"),
    [(b"30", NOW + 30), (b"Thu, 28 May 2026 20:27:40 GMT", 1780000060.0)],
    ids=["seconds", "date"],
)
def test_slack_and_all_who_refuse_say_how_long(status: int, value: bytes, until: float) -> None:
    assert told(status, (b"retry-after", value)).until == until


def test_an_answer_that_is_no_refusal_asks_for_no_pause() -> None:
    """503 with Retry-After is about the service, 301 about a move: neither is about our quota."""
    assert told(503, (b"retry-after", b"30")).until is None


def test_the_draft_of_the_ietf_tells_of_several_and_the_nearest_counts() -> None:
    found = told(
        200,
        (b"ratelimit-policy", b'"burst";q=100;w=60,"daily";q=1000;w=86400'),
        (b"ratelimit", b'"burst";r=90;t=12, "daily";r=3;t=36000'),
    )
    assert (found.limit, found.remaining, found.resets) == (1000, 3, NOW + 36000)


@pytest.mark.parametrize(
    "value",
    [b'"a";r=1 "b";r=0', b"a;r=1", b'"a;r=1', b'"a";r=1,', b"\xff", b'"a";r=-1'],
    ids=["no comma", "no quotes", "open quote", "ends with a comma", "not text", "negative"],
)
def test_a_malformed_field_counts_as_not_said(value: bytes) -> None:
    assert told(200, (b"ratelimit", value)).remaining is None


def test_an_answer_that_says_nothing_is_not_looked_at() -> None:
    assert read(Response(200, ((b"etag", b"1"), (b"content-type", b"text/plain"))), NOW) is None


NAMES = [b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset", b"retry-after", b"ratelimit", b"ratelimit-policy"]
VALUES = st.one_of(
    st.binary(max_size=600),
    st.from_regex(rb'"[a-z]{0,3}"(;[qrtw]=[0-9]{0,18}){0,3}(, ?"[a-z]";r=[0-9]+)?', fullmatch=True),
    st.from_regex(rb"[0-9]{1,20}", fullmatch=True),
    st.datetimes().map(lambda each: each.isoformat().encode()),
)


@given(fields=st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=8), status=st.sampled_from([200, 403, 429]))
def test_whatever_an_upstream_says_it_breaks_nothing(fields: list[tuple[bytes, bytes]], status: int) -> None:
    found = read(Response(status, fields), NOW)
    assert (found is None) == (not fields)
    if found is not None:
        assert found.remaining is None or 0 <= found.remaining < 10**15
        assert found.limit is None or 0 <= found.limit < 10**15


@given(value=st.binary(max_size=64))
def test_a_moment_is_a_time_or_nothing(value: bytes) -> None:
    found = moment(value, NOW)
    assert found is None or isinstance(found, float)


@given(value=st.binary(max_size=512))
def test_items_of_anything_are_bounded_by_its_length(value: bytes) -> None:
    assert len(items(value)) <= len(value)
