"""Finished exchanges and what watches them, for tests of the evidence."""

from typing import Any

from gateway.core.decision import Decision
from gateway.core.exchange import Exchange
from gateway.core.message import Inbound
from gateway.core.principal import Identity, Principal

STARTED = 1000.0
TIME = 1_800_000_000.25
ID = "01938e5a-7c2b-7def-8123-456789abcdef"


class Ticks:
    """A clock that stands still until told."""

    def __init__(self) -> None:
        self.time = TIME
        self.ticks = STARTED

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.ticks


class Tally:
    """Metrics that remember sums and last values."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.values: dict[str, float] = {}

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self.sums[name] = self.sums.get(name, 0) + amount

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        self.values[name] = value


def principal(**changes: Any) -> Principal:
    """Alice of corp, by JWT."""
    told: dict[str, Any] = {"id": "alice@example.com", "issuer": "corp", "scheme": "jwt", "credential_id": "jti-1", **changes}
    return Principal(Identity(**told), roles=("member", "viewer"))


def exchange(**changes: Any) -> Exchange:
    """An allowed request that an upstream answered; `changes` set attributes."""
    made = Exchange(ID, STARTED, TIME, "gen-1", "default", "GET", "192.0.2.1")
    told: dict[str, Any] = {
        "client": "203.0.113.9",
        "host": "api.example.com:8443",
        "path": "/github/repos/acme/tools/issues",
        "query": b"page=2",
        "secure": True,
        "route": "github.issues",
        "params": {"owner": "acme", "repo": "tools"},
        "principal": principal(),
        "decision": Decision(True, "messages/read"),
        "status": 200,
        "source": "upstream",
        "upstream": "github",
        "upstream_address": "192.0.2.80:443",
        "upstream_started": STARTED + 0.002,
        "upstream_seconds": 0.03,
        "upstream_status": 200,
        "credential": "github-bot",
        "bytes_in": 10,
        "bytes_out": 1024,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "00f067aa0ba902b7",
        **changes,
    }
    for name, value in told.items():
        setattr(made, name, value)
    return made


def refused(**changes: Any) -> Exchange:
    """A request that the gateway itself answered before anybody was asked."""
    told: dict[str, Any] = {
        "principal": None,
        "decision": None,
        "status": 401,
        "source": "gateway",
        "upstream_address": None,
        "upstream_started": None,
        "upstream_seconds": None,
        "upstream_status": None,
        "credential": None,
        "bytes_out": 0,
        **changes,
    }
    return exchange(**told)


def inbound(*headers: tuple[bytes, bytes]) -> Inbound:
    """A request's head as it arrives."""
    return Inbound(method="GET", target=b"/", version="1.1", headers=list(headers), peer="192.0.2.1", listener="default")
