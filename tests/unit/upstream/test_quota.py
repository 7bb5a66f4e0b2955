"""An upstream's own limits: a credential pauses before it is exhausted, and what is left is shared fairly."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import LimitExceeded
from gateway.core.message import Response
from gateway.upstream.model import Quota as QuotaModel
from gateway.upstream.quota import MOST_PRINCIPALS, MOST_STANDINGS, Quota

NOW = 1_780_000_000.0


class Upstream:
    """What a quota's upstream does: it answers with what is left, of `limit` until `resets`."""

    def __init__(self, limit: int, resets: float, **model: Any) -> None:
        self.limit, self.left, self.resets = limit, limit, resets
        self.counted: list[str] = []
        self.quota = Quota("api-quota", QuotaModel.model_validate(model), lambda name, why: self.counted.append(why))

    def ask(self, who: str, now: float = NOW, key: str = "") -> None:
        """Raises LimitExceeded where the quota does not let it go."""
        standing = self.quota.spend(key, "", who, now)
        self.left -= 1
        fields = ((b"x-ratelimit-limit", b"%d" % self.limit), (b"x-ratelimit-remaining", b"%d" % self.left))
        self.quota.done(key, "", standing, Response(200, (*fields, (b"x-ratelimit-reset", b"%d" % self.resets))), now)

    def refuse(self, seconds: int, now: float = NOW, key: str = "", status: int = 429) -> None:
        standing = self.quota.spend(key, "", "somebody", now)
        self.quota.done(key, "", standing, Response(status, ((b"retry-after", b"%d" % seconds),)), now)


def waits(refused: LimitExceeded) -> int:
    return int(dict(refused.headers)[b"retry-after"])


def test_nothing_is_known_and_nothing_refused_until_the_upstream_says_something() -> None:
    quota = Quota("api-quota", QuotaModel(), lambda *_: None)
    for number in range(100):
        quota.done("", "", quota.spend("", "", f"p{number}", NOW), Response(200, ()), NOW)


def test_a_refusal_of_the_upstream_pauses_the_credential_for_as_long_as_it_says() -> None:
    upstream = Upstream(100, NOW + 60)
    upstream.refuse(30)
    with pytest.raises(LimitExceeded) as refused:
        upstream.ask("ada", NOW + 29.5)
    assert (refused.value.status, waits(refused.value)) == (429, 1)
    assert refused.value.members == {"violated-policies": ["api-quota"]}
    assert upstream.counted == ["paused"]
    upstream.ask("ada", NOW + 30)


def test_a_pause_has_an_end_whatever_the_upstream_says() -> None:
    upstream = Upstream(100, NOW + 60, max_pause="10s")
    upstream.refuse(999_999_999)
    upstream.ask("ada", NOW + 10)


def test_the_credential_pauses_before_it_is_exhausted() -> None:
    upstream = Upstream(100, NOW + 60, reserve_percent=10)
    for _ in range(90):
        upstream.ask("ada")
    with pytest.raises(LimitExceeded) as refused:
        upstream.ask("ada")
    assert waits(refused.value) == 60
    assert upstream.left == 10


def test_requests_on_their_way_count_though_the_upstream_has_not_counted_them_yet() -> None:
    upstream = Upstream(100, NOW + 60, reserve_percent=0)
    upstream.left = 4
    upstream.ask("ada")
    flying = [upstream.quota.spend("", "", "ada", NOW) for _ in range(3)]
    with pytest.raises(LimitExceeded):
        upstream.quota.spend("", "", "ada", NOW)
    for standing in flying:
        upstream.quota.done("", "", standing, None, NOW)
    upstream.quota.spend("", "", "ada", NOW)


def test_a_quota_is_full_again_at_the_time_the_upstream_named() -> None:
    upstream = Upstream(10, NOW + 60, reserve_percent=0)
    for _ in range(10):
        upstream.ask("ada")
    with pytest.raises(LimitExceeded):
        upstream.ask("ada", NOW + 59)
    upstream.left, upstream.resets = 10, NOW + 120
    for _ in range(10):
        upstream.ask("ada", NOW + 60)
    with pytest.raises(LimitExceeded):
        upstream.ask("ada", NOW + 61)


def test_who_is_alone_may_have_all_of_it() -> None:
    upstream = Upstream(100, NOW + 60, reserve_percent=0)
    for _ in range(100):
        upstream.ask("ada")


def test_while_others_ask_the_busy_one_has_an_equal_part_once_it_grows_scarce() -> None:
    upstream = Upstream(100, NOW + 60, reserve_percent=0, fair_below_percent=50)
    upstream.ask("bob")
    for _ in range(49):
        upstream.ask("ada")
    refused = None
    while refused is None:
        try:
            upstream.ask("ada")
        except LimitExceeded as error:
            refused = error
    assert upstream.counted == ["share"]
    assert upstream.left == 49, "ada had 50 of 100, bob 1"
    for _ in range(49):
        upstream.ask("bob")
    assert upstream.left == 0


def test_what_a_route_or_a_path_uses_up_is_its_own_where_the_upstream_counts_so() -> None:
    upstream = Upstream(100, NOW + 60)
    upstream.refuse(30, key="/chat.postMessage")
    upstream.ask("ada", key="/users.list")
    with pytest.raises(LimitExceeded):
        upstream.ask("ada", key="/chat.postMessage")


def test_github_s_resources_are_apart_once_it_has_said_which_is_asked() -> None:
    quota = Quota("api-quota", QuotaModel(reserve_percent=0), lambda *_, **__: None)

    def ask(part: str, resource: bytes, left: int) -> None:
        fields = ((b"x-ratelimit-limit", b"30"), (b"x-ratelimit-remaining", b"%d" % left), (b"x-ratelimit-reset", b"60"))
        standing = quota.spend("", part, "ada", NOW)
        quota.done("", part, standing, Response(200, (*fields, (b"x-ratelimit-resource", resource))), NOW)

    ask("repos", b"core", 29)
    ask("search", b"search", 0)
    ask("repos", b"core", 28)
    with pytest.raises(LimitExceeded):
        ask("search", b"search", 0)
    ask("repos", b"core", 27)


@given(
    principals=st.lists(st.sampled_from("abcd"), min_size=1, max_size=300),
    limit=st.integers(min_value=1, max_value=120),
    reserve=st.integers(min_value=0, max_value=50),
)
def test_never_more_is_sent_than_the_upstream_has_and_each_who_asks_can_have_its_part(
    principals: list[str], limit: int, reserve: int
) -> None:
    upstream = Upstream(limit, NOW + 60, reserve_percent=reserve, fair_below_percent=100)
    had: dict[str, int] = {}
    refused: set[str] = set()
    for who in principals:
        try:
            upstream.ask(who)
            had[who] = had.get(who, 0) + 1
        except LimitExceeded:
            refused.add(who)
    assert upstream.left >= limit * reserve // 100 or sum(had.values()) == 1
    fair = (limit - limit * reserve / 100) / len(set(principals))
    alone_first = max(had.values(), default=0)
    for who in refused:
        assert had.get(who, 0) >= int(fair) or alone_first > fair, "only those who came first had more than a part"


def test_what_strangers_can_make_it_remember_is_bounded() -> None:
    upstream = Upstream(10**9, NOW + 60)
    for number in range(3 * MOST_STANDINGS):
        upstream.ask(f"p{number}", key=f"/{number}")
        upstream.ask(f"p{number}")
    assert len(upstream.quota._standings) <= MOST_STANDINGS
    assert all(len(standing.spent) <= MOST_PRINCIPALS for standing in upstream.quota._standings.values())
