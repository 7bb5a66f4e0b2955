"""What comes of requests and checks, and what follows from it: which addresses serve, whether the upstream is asked at all, and
what may be asked twice."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from gateway.core.errors import UpstreamTimeout, UpstreamUnreachable
from gateway.upstream.budget import Budget
from gateway.upstream.circuit import Circuit, overloaded
from gateway.upstream.endpoint import KEPT, Endpoint
from gateway.upstream.lane import Lane
from gateway.upstream.model import Upstream
from gateway.upstream.rotation import Rotation


class Party(Protocol):
    """Whose outcome it is: `served` counts the answers before it on the same connection, `seen` what came of this one."""

    @property
    def served(self) -> int: ...
    @property
    def seen(self) -> int: ...
    @property
    def endpoint(self) -> Endpoint: ...
    def patience(self) -> float:
        """Seconds there were for what did not come."""
        ...


class Judge:
    """Told of every outcome that is not plain success; of success only where `Lane.doubted` says so.

    `count` counts by metric; `refuse` sends those away who wait for a connection, when the circuit opens.
    """

    def __init__(
        self, name: str, model: Upstream, lanes: Sequence[Lane], *, count: Callable[..., None], refuse: Callable[[], None]
    ) -> None:
        self._lanes = lanes
        self._count = count
        self._refuse = refuse
        self._failing = frozenset(model.failure_statuses)
        self._circuit = Circuit(model.circuit_breaker) if model.circuit_breaker is not None else None
        self._budget = Budget(model.retry_budget, model.connections)
        self.rotation = Rotation(name, model, lanes, count)
        self._settle()

    # Before a request

    def admit(self) -> None:
        """Raises UpstreamOverloaded when the upstream is not to be asked now."""
        if self._circuit is not None:
            self._circuit.admit()
        if not self.rotation.lanes:
            raise overloaded("no target is healthy")

    def may_retry(self, answered: int, *, unsent: bool) -> bool:
        """Whether a request that failed may be sent once more; what never left costs nothing. `answered` counts all answers."""
        if self._circuit is not None and self._circuit.open:
            return False
        allowed = unsent or self._budget.spend(answered)
        self._count("gateway.upstream.retries" if allowed else "gateway.upstream.retries_refused")
        return allowed

    # After it

    def answered(self, connection: Party, status: int) -> None:
        """A whole answer came where something is doubted."""
        if status in self._failing:
            self._blame(connection.endpoint, f"answered {status}")
            return
        accrual, circuit = connection.endpoint.accrual, self._circuit
        if not (accrual.failures or (circuit is not None and (circuit.failures or circuit.open))):
            return
        accrual.succeed()
        if circuit is not None and circuit.succeed():
            self._count("gateway.upstream.circuit_changes", to="closed")
            self.rotation.shut(False)
        self._settle()

    def failed(self, connection: Party, error: Exception) -> None:
        """An exchange broke.

        What does not count: what was the client's fault; a kept connection that was closed before anything of an answer came, as
        happens; a timeout while the same address answered others, lest who asks for slow things get it ejected.
        """
        endpoint = connection.endpoint
        if isinstance(error, UpstreamTimeout):
            asked = asyncio.get_running_loop().time() - connection.patience()
            counts = endpoint.kept_until - KEPT <= asked
        else:
            counts = isinstance(error, UpstreamUnreachable) and not (connection.served and not connection.seen)
        if counts:
            self._blame(endpoint, str(error))

    def unreached(self, endpoint: Endpoint, problem: str) -> None:
        """No connection could be made to an address: nobody is there."""
        self.rotation.failed(endpoint, problem, at_once=True)

    def unreachable(self) -> None:
        """No connection could be made to any address that was tried."""
        self._blame(None, "")

    def checked(self, endpoint: Endpoint, problem: str) -> None:
        """A health check ended."""
        self._count("gateway.upstream.health_checks", outcome="failed" if problem else "passed")
        self.rotation.checked(endpoint, problem)

    # For operators

    def status(self) -> dict[str, Any]:
        return {
            "panic": self.rotation.panicking,
            "circuit": self._circuit.status() if self._circuit is not None else None,
            "retries_left": int(self._budget.tokens),
        }

    def levels(self) -> Iterator[tuple[str, float, dict[str, str]]]:
        """Gauges: metric, value, labels."""
        states = [endpoint.state() for endpoint in self.rotation.endpoints()]
        for state in ("serving", "ejected", "unhealthy"):
            yield "gateway.upstream.addresses", states.count(state), {"state": state}
        if self._circuit is not None:
            yield "gateway.upstream.circuit_open", float(self._circuit.open), {}

    # Inside

    def _blame(self, endpoint: Endpoint | None, problem: str) -> None:
        """A failure is held against an address, if there is one, and against the upstream."""
        if endpoint is not None:
            self.rotation.failed(endpoint, problem)
        if self._circuit is not None and self._circuit.fail():
            self._count("gateway.upstream.circuit_changes", to="open")
            self.rotation.shut(True)
            self._refuse()
        self._settle()

    def _settle(self) -> None:
        """Of which targets success is to be told."""
        circuit = self._circuit
        always = bool(self._failing) or (circuit is not None and (circuit.failures > 0 or circuit.open))
        for lane in self._lanes:
            lane.doubted = always or any(endpoint.accrual.failures for endpoint in lane.endpoints.values())
