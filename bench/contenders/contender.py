"""What a contender is: a name, a version, and how it is started for a setup."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.process import Launch
from bench.site import Site

Chain = Literal["bare", "full"]


@dataclass(frozen=True, slots=True)
class Setup:
    """What a contender is asked to do.

    `bare` forwards and nothing else. `full`: RS256 token, a condition, two limits, header injection, access or audit log to a
    file, metrics. `tls` on both sides; `spans` the share of requests that are traced; `redis` keeps the limits there;
    `pinned` is on one core, else on all.
    """

    chain: Chain = "bare"
    tls: bool = False
    spans: float = 0.01
    redis: bool = False
    workers: int = 1
    pinned: bool = True


@dataclass(frozen=True, slots=True)
class Ask:
    """The one request a contender is asked again and again."""

    method: str = "GET"
    path: str = "/api/v1/items/17"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    answers: str | None = None
    """A piece of the right answer; None is the upstream's whole payload."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One proxy. `launch` writes its configuration beneath a folder and says how to start it on a port."""

    name: str
    launch: Callable[[Site, Setup, Path, int], Launch] | None
    version: Callable[[], str]
    setups: tuple[Chain, ...] = ("bare",)
    """What it can be asked to do; empty for what is neither."""
    least: float = 0.0
    """Seconds a measurement of it takes at least, for those that answer a few requests a second."""
    note: str = ""
    """What a reader must know to compare it, printed below the tables."""
    connections: int = 64
    """Clients at once; fewer for those that are busy with one, where wrk would see no answer in time."""
    ask: Callable[[Site], Ask] | None = None
    """For those that cannot be asked what the others are asked."""
    prepare: Callable[[Site, int], None] | None = None
    """Runs once it listens: what is configured through its own interface."""
