"""The life of the server: start, reload, certificates, drain; and the signals that drive it.

Signals are ours: uvicorn would raise SIGTERM again after its own shutdown and take SIGHUP for a restart.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

from gateway.core.ports import Metrics
from gateway.edge.model import Drain
from gateway.server.accept import Acceptor
from gateway.server.listener import Asgi, Listener, Silent
from gateway.server.sockets import ListenError, Sockets
from gateway.server.tls import ServerTls, TlsError

log = logging.getLogger(__name__)

CERTIFICATE_INTERVAL: Final = 10.0
"""Seconds between looks at certificate files."""
GRACE: Final = 1.0
"""Seconds for what was cut off to write its evidence."""


class Server:
    """All listeners of one process."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        *,
        metrics: Metrics | None = None,
        certificate_interval: float = CERTIFICATE_INTERVAL,
        sockets: Sockets | None = None,
    ) -> None:
        self._listeners = tuple(listeners)
        self._sockets = sockets
        self._metrics: Metrics = metrics or Silent()
        self._interval = certificate_interval
        self._acceptors: dict[tuple[str, str], Acceptor] = {}
        self._leaving: list[Acceptor] = []
        self._watch: asyncio.Task[None] | None = None
        self.draining = False

    @property
    def ready(self) -> bool:
        """Listeners bound, not draining."""
        return bool(self._acceptors) and not self.draining

    @property
    def addresses(self) -> dict[str, str]:
        """Listener name to bound address, ports as the system gave them."""
        return {name: acceptor.address for (name, _), acceptor in self._acceptors.items()}

    @property
    def connections(self) -> int:
        """Client connections alive on the data path."""
        return sum(len(acceptor.connections) for acceptor in self._acceptors.values() if not is_operators(acceptor))

    async def start(self) -> None:
        """Bind every address and take connections, or raise ListenError with none of them bound. Once started it is harmless."""
        if self._watch is not None:
            return
        self._acceptors = self._bind(self._listeners)
        for acceptor in self._acceptors.values():
            acceptor.start()
        self._watch = asyncio.create_task(self._watch_certificates())

    def apply(self, listeners: Sequence[Listener]) -> None:
        """Go on under new listeners: changed settings are swapped, new addresses bound, those gone drained.

        Raises ListenError, with nothing changed, when a new address cannot be bound beside the present ones.
        """
        new = [] if self.draining else [listener for listener in listeners if listener.key not in self._acceptors]
        added = self._bind(new)
        wanted = {listener.key: listener for listener in listeners}
        self._leaving = [acceptor for acceptor in self._leaving if acceptor.connections]
        for key, acceptor in self._acceptors.items():
            if key in wanted:
                acceptor.adopt(wanted[key])
            else:
                acceptor.stop()
                self._leaving.append(acceptor)
        for acceptor in added.values():
            acceptor.start()
        known = self._acceptors | added
        self._acceptors = {key: known[key] for key in wanted if key in known}

    async def refresh_certificates(self) -> None:
        """Take up replaced certificate files; a broken replacement is logged and counted, and the old one stays."""
        for acceptor in list(self._acceptors.values()):
            listener = acceptor.bound.listener
            if listener.tls is not None and await asyncio.to_thread(listener.tls.changed):
                await self._refresh(acceptor, listener.name, listener.tls)

    async def _refresh(self, acceptor: Acceptor, name: str, tls: ServerTls) -> None:
        trust = tls.trust
        try:
            await asyncio.to_thread(tls.reload)
        except TlsError as error:
            log.error("certificate refused", extra={"listener": name, "key": error.key, "problem": error.problem})
            self._metrics.count("gateway.tls.reloads", 1, listener=name, outcome="refused")
            return
        log.info("certificate replaced", extra={"listener": name})
        self._metrics.count("gateway.tls.reloads", 1, listener=name, outcome="replaced")
        if tls.trust != trust:
            # A client revoked or no longer trusted must not live on in a kept-alive connection.
            acceptor.bound.shutdown()

    async def drain(self, delay: float, timeout: float) -> bool:
        """Stop serving clients: wait `delay`, take no more, finish what is in flight within `timeout` seconds.

        Operators' listeners stay, so that readiness can be read. False when requests had to be cut off.
        """
        self.draining = True
        for acceptor in self._clients():
            acceptor.bound.leaving = True
        await asyncio.sleep(delay)
        acceptors = self._clients()
        for acceptor in acceptors:
            acceptor.stop()
        waiting = asyncio.gather(*(acceptor.emptied() for acceptor in acceptors))
        try:
            await asyncio.wait_for(waiting, timeout)
        except TimeoutError:
            return not await cut(acceptors)
        return True

    async def retire(self, timeout: float) -> bool:
        """Leave the addresses to another process: every connection ends with the answer to its next request.

        Connections that are still idle after `timeout` seconds are closed. False when requests had to be cut off.
        """
        self.draining = True
        acceptors = self._clients()
        for acceptor in acceptors:
            acceptor.leave()
        waiting = asyncio.gather(*(acceptor.emptied() for acceptor in acceptors))
        with suppress(TimeoutError):
            await asyncio.wait_for(waiting, timeout)
        return await self.drain(0.0, GRACE)

    def lend(self, key: tuple[str, str], sock: socket.socket) -> Callable[[], None]:
        """Take connections from a socket of a listener's address that nobody else takes from; gives how to end it."""
        acceptor = self._acceptors[key]
        acceptor.lend(sock)
        return lambda: acceptor.give_back(sock)

    def _clients(self) -> list[Acceptor]:
        """Those on the data path."""
        return self._leaving + [acceptor for acceptor in self._acceptors.values() if not is_operators(acceptor)]

    async def close(self) -> bool:
        """End everything now. False when requests were cut off."""
        self.draining = True
        if self._watch is not None:
            self._watch.cancel()
        acceptors = [*self._leaving, *self._acceptors.values()]
        for acceptor in acceptors:
            acceptor.stop()
        severed = await cut(acceptors)
        self._acceptors, self._leaving = {}, []
        return not severed

    def _bind(self, listeners: Iterable[Listener]) -> dict[tuple[str, str], Acceptor]:
        bound: dict[tuple[str, str], Acceptor] = {}
        try:
            for listener in listeners:
                bound[listener.key] = Acceptor(listener, self._metrics, self._sockets)
        except ListenError:
            for acceptor in bound.values():
                acceptor.stop()
            raise
        return bound

    async def _watch_certificates(self) -> None:
        while True:
            self._report_expiry()
            await asyncio.sleep(self._interval)
            await self.refresh_certificates()

    def _report_expiry(self) -> None:
        for (name, _), acceptor in self._acceptors.items():
            tls = acceptor.bound.listener.tls
            if tls is not None:
                self._metrics.gauge("gateway.tls.certificate.not_after", tls.not_after, listener=name)


def is_operators(acceptor: Acceptor) -> bool:
    """Whether a listener serves operators, and so outlives the drain."""
    return isinstance(acceptor.bound.listener.app, Asgi)


async def cut(acceptors: Iterable[Acceptor]) -> bool:
    """End all connections; true when that took requests with it. These get a moment to write their evidence."""
    runs = [run for acceptor in acceptors for connection in acceptor.connections if (run := connection.run) is not None]
    for acceptor in acceptors:
        acceptor.kill()
    if tasks := [run.task for run in runs if run.task is not None]:
        await asyncio.wait(tasks, timeout=GRACE)
    return bool(runs)


async def run_until_signal(
    server: Server,
    *,
    on_reload: Callable[[], Awaitable[None]],
    drain: Callable[[], Drain],
) -> int:
    """Start, serve until SIGTERM or SIGINT, drain; gives the exit code: 0, or 1 when requests were cut off.

    SIGHUP awaits `on_reload`, one at a time; a second SIGTERM or SIGINT ends the drain at once. `drain` is asked when it
    begins, so that a reload may have changed it. Signals are handled from before the start, so that none kills a process that
    has just begun to serve. Raises ListenError.
    """
    signals = Signals()
    try:
        await server.start()
        while await signals.next() == signal.SIGHUP:
            await on_reload()
        log.info("draining")
        bounds = drain()
        finished = await unless(server.drain(bounds.delay, bounds.timeout), signals.stop_again())
        closed = await server.close()
        return 0 if finished and closed else 1
    finally:
        signals.close()


async def unless(drained: Awaitable[bool], forced: Awaitable[None]) -> bool:
    """The result of the drain; True when it was forced, for then the end of the server tells what was cut off."""
    drain, force = asyncio.ensure_future(drained), asyncio.ensure_future(forced)
    await asyncio.wait((drain, force), return_when=asyncio.FIRST_COMPLETED)
    force.cancel()
    if drain.done():
        return drain.result()
    drain.cancel()
    await asyncio.wait((drain,))
    return True


class Signals:
    """The process's signals as they arrive: a stop before reloads that wait, and reloads that wait as one."""

    STOPS: Final = (signal.SIGTERM, signal.SIGINT)
    HANDLED: Final = (*STOPS, signal.SIGHUP)

    def __init__(self, *others: signal.Signals) -> None:
        """`others` wait like reloads."""
        self._handled = (*self.HANDLED, *others)
        self._loop = asyncio.get_running_loop()
        self._waiting: list[signal.Signals] = []
        self._arrived = asyncio.Event()
        for number in self._handled:
            self._loop.add_signal_handler(number, self._note, number)

    def _note(self, number: signal.Signals) -> None:
        if number in self.STOPS:
            self._waiting.insert(0, number)
        elif number not in self._waiting:
            self._waiting.append(number)
        self._arrived.set()

    async def next(self) -> signal.Signals:
        """The next signal."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.pop(0)

    async def stop_again(self) -> None:
        """Wait for another order to stop."""
        while await self.next() not in self.STOPS:
            log.info("reload ignored while draining")

    def close(self) -> None:
        """Hand the signals back."""
        for number in self._handled:
            self._loop.remove_signal_handler(number)
