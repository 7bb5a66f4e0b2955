"""Judged by a clock that stands still until it is told to step."""

from typing import Any

import pytest

from gateway.core.principal import Identity, Principal
from gateway.detection import blocks, guard
from gateway.detection.guard import Guard
from gateway.detection.model import BruteForce, Detection
from gateway.detection.watch import Watch
from tests.fakes import SteppedClock

ADDRESS = "203.0.113.7"


class Counting:
    """Remembers what was counted and set."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.gauges: dict[str, float] = {}

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        self.gauges[name] = value


class Bench:
    """A guard and all that it says."""

    def __init__(self, *rules: BruteForce) -> None:
        self.clock = SteppedClock()
        self.metrics = Counting()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.guard = Guard(self.clock, self.metrics, lambda name, /, **fields: self.events.append((name, fields)))
        self.guard.adopt(Detection(rules=list(rules)) if rules else Detection())

    def fail(self, times: int, client: str = ADDRESS, about: str | None = None) -> None:
        for _ in range(times):
            self.guard.failed(client, about)

    def blocked(self) -> list[str]:
        return [row["network"] for row in self.guard.listing()["addresses"]]

    def told(self) -> list[str]:
        return [name for name, _ in self.events]


def rule(**keys: Any) -> BruteForce:
    return BruteForce.model_validate({"type": "brute_force", **keys})


def test_the_fifth_failure_within_the_window_blocks() -> None:
    bench = Bench()
    bench.fail(4)
    bench.clock.step(301)
    bench.fail(4)
    assert bench.blocked() == []
    bench.fail(1)
    assert bench.blocked() == [ADDRESS]
    assert bench.metrics.gauges["gateway.detection.blocked"] == 1


def test_slow_guessing_is_bounded_by_the_window() -> None:
    """Four failures each window, for ever, are what a patient guesser gets; a fifth within any window is not among them."""
    bench = Bench()
    for _ in range(20):
        bench.fail(1)
        bench.clock.step(76)
    assert bench.blocked() == []
    bench.fail(1)
    bench.clock.step(50)
    bench.fail(1)
    assert bench.blocked() == [ADDRESS]


def test_release_is_automatic_told_once_and_begins_anew() -> None:
    bench = Bench()
    bench.fail(5)
    bench.clock.step(899)
    bench.guard.sweep()
    assert bench.blocked() == [ADDRESS]
    bench.clock.step(2)
    bench.guard.sweep()
    bench.guard.sweep()
    assert bench.blocked() == []
    assert not bench.guard.blocks.standing
    assert bench.told() == ["address.blocked", "address.released"]
    bench.fail(4)
    assert bench.blocked() == []


def test_failures_that_were_under_way_are_no_second_block() -> None:
    bench = Bench()
    bench.fail(50)
    assert bench.told() == ["address.blocked"]
    assert bench.metrics.counts["gateway.detection.failures"] == 50
    assert not bench.guard.addresses.entries


def test_delays_double_up_to_their_bound() -> None:
    bench = Bench(rule(threshold=2, action="delay", **{"for": "10s"}))
    waits = []
    bench.fail(1)
    for _ in range(6):
        bench.fail(1)
        [row] = bench.guard.listing()["addresses"]
        waits.append(row["until"] - bench.clock.now())
        bench.clock.step(waits[-1])
        bench.guard.sweep()
    assert waits == [1, 2, 4, 8, 10, 10]
    assert bench.told() == []


def test_a_delay_never_shortens_a_block() -> None:
    bench = Bench(rule(threshold=3), rule(threshold=3, action="delay", **{"for": "24h"}))
    bench.fail(3)
    assert [row["action"] for row in bench.guard.listing()["addresses"]] == ["block_address"]


def test_another_process_word_counts_and_its_echo_changes_nothing() -> None:
    one, other = Bench(), Bench()
    one.guard.outward = other.guard.take
    other.guard.outward = one.guard.take
    one.fail(5)
    assert one.blocked() == other.blocked() == [ADDRESS]
    one.guard.take(ADDRESS, 899.9)
    assert [row["count"] for row in one.guard.listing()["addresses"]] == [5]
    assert other.guard.release(ADDRESS)
    assert one.blocked() == other.blocked() == []
    assert one.told() + other.told() == ["address.blocked", "address.released"]
    assert not other.guard.release(ADDRESS)


def test_a_full_table_of_blocks_lets_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MOST", 3)
    bench = Bench(rule(threshold=1))
    for number in range(5):
        bench.fail(1, f"203.0.113.{number}")
    assert bench.blocked() == ["203.0.113.2", "203.0.113.3", "203.0.113.4"]
    assert bench.metrics.counts["gateway.detection.forgotten"] == 2


def test_operators_are_told_which_identities_are_being_guessed() -> None:
    bench = Bench(rule(per_identity=3))
    for number in range(3):
        bench.fail(1, f"203.0.113.{number}", "login:Alice")
    bench.guard.succeeded("198.51.100.1", "login:ALICE")
    assert bench.guard.listing()["identities"] == [{"identity": "login:alice", "failures": 3}]


def test_signals_are_counted_each_and_told_once_a_minute() -> None:
    bench = Bench()
    for _ in range(3):
        bench.guard.signal("token.reused", issuer="corp", subject="ada", client=ADDRESS)
    bench.guard.signal("token.reused", issuer="cor", subject="pada", client=ADDRESS)
    bench.guard.signal("token.replayed", client=ADDRESS)
    bench.clock.step(guard.QUIET)
    bench.guard.signal("token.reused", issuer="corp", subject="ada", client=ADDRESS)
    assert bench.told() == ["auth.token.reused", "auth.token.reused", "auth.token.replayed", "auth.token.reused"]
    assert bench.metrics.counts["gateway.detection.signals"] == 6


def test_a_token_that_is_called_like_a_victims_key_forgives_nothing() -> None:
    """`jti` is what its issuer writes there, and some let the client say it."""
    bench = Bench()
    watch = Watch(bench.guard, bench.clock, ())
    for scheme in ("jwt", "introspection", "session", "mtls", "signature", "hmac"):
        own = Principal(Identity(id="me", issuer="corp", scheme=scheme, credential_id="victim"))
        bench.fail(4, about="api_key:victim")
        watch.succeeded(ADDRESS, own)
        bench.fail(1, about="api_key:victim")
        assert bench.blocked() == [ADDRESS]
        assert bench.guard.release(ADDRESS)
    bench.fail(4, about="api_key:victim")
    watch.succeeded(ADDRESS, Principal(Identity(id="me", issuer="api_keys", scheme="api_key", credential_id="Victim")))
    bench.fail(4, about="api_key:victim")
    assert bench.blocked() == []


@pytest.mark.parametrize("written", ["", "x", "203.0.113.7/24", "2001:db8::/48", "lgk_x"])
def test_only_an_address_can_be_released(written: str) -> None:
    with pytest.raises(ValueError, match="IPv4"):
        Bench().guard.release(written)


@pytest.mark.parametrize("written", ["2001:db8:0:1::/64", "2001:db8:0:1::9", " 2001:DB8:0:1:0:0:0:9 "])
def test_a_64_is_released_by_any_of_its_addresses(written: str) -> None:
    bench = Bench()
    bench.fail(5, "2001:db8:0:1::5")
    assert bench.guard.release(written)
    assert bench.blocked() == []


def test_switching_off_forgets_everything() -> None:
    bench = Bench()
    bench.fail(5)
    bench.fail(2, "203.0.113.8", "api_key:a")
    bench.guard.adopt(Detection(rules=[]))
    bench.fail(5)
    bench.guard.take("203.0.113.9", 60)
    assert bench.blocked() == []
    assert not bench.guard.addresses.entries
    assert not bench.guard.identities.entries


@pytest.mark.parametrize(
    "keys", [{"threshold": 0}, {"threshold": 101}, {"window": "0s"}, {"window": "2d"}, {"for": "0s"}, {"for": "25h"}]
)
def test_rules_are_bounded(keys: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(keys))):
        rule(**keys)
