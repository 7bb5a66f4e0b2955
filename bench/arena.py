"""Contenders while they run: started once for each setup, proven to answer rightly, kept as long as a scenario needs them."""

import contextlib
import http.client
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.contenders.contender import Ask, Contender, Setup
from bench.machine import Cores
from bench.process import NotStarted, cpu_seconds, free_port, running
from bench.site import PAYLOAD, Site


@dataclass(frozen=True, slots=True)
class Entry:
    """A contender in a setup: one row of a table."""

    contender: Contender
    setup: Setup = field(default_factory=Setup)

    @property
    def label(self) -> str:
        if not self.contender.setups:
            return self.contender.name
        setup = self.setup
        more = {
            "TLS": setup.tls,
            "100 % spans": setup.spans == 1.0,
            "Redis": setup.redis,
            "unpinned": not setup.pinned,
            f"{setup.workers} workers": setup.workers > 1,
        }
        return ", ".join([f"{self.contender.name} {setup.chain}", *(name for name, given in more.items() if given)])


@dataclass(frozen=True, slots=True)
class Instance:
    """An entry that runs. `pid` is None for the upstream itself, which is no contender."""

    entry: Entry
    pid: int | None
    port: int
    ask: Ask
    folder: Path

    @property
    def url(self) -> str:
        return f"{'https' if self.entry.setup.tls else 'http'}://127.0.0.1:{self.port}"

    def cpu(self) -> float:
        """Seconds of processor time so far, 0 where it is nobody's."""
        return cpu_seconds(self.pid) if self.pid is not None else 0.0


@dataclass(slots=True)
class Arena:
    """All that runs at a time. What did not start is remembered with the reason and not tried again."""

    site: Site
    cores: Cores
    failures: dict[Entry, str] = field(default_factory=dict)
    _running: dict[Entry, tuple[Instance, contextlib.ExitStack]] = field(default_factory=dict)
    _started: int = 0

    def get(self, entry: Entry) -> Instance | None:
        """The running instance of an entry, started if need be; None for one that does not start."""
        if entry not in self._running and entry not in self.failures:
            stack = contextlib.ExitStack()
            try:
                self._running[entry] = (stack.enter_context(self.fresh(entry)), stack)
            except NotStarted as error:
                self.failures[entry] = str(error)
        found = self._running.get(entry)
        return found[0] if found else None

    @contextlib.contextmanager
    def fresh(self, entry: Entry) -> Iterator[Instance]:
        """An instance of its own for as long as the block lasts. Raises NotStarted."""
        contender, setup = entry.contender, entry.setup
        ask = contender.ask(self.site) if contender.ask else Ask(headers={"Authorization": f"Bearer {self.site.token}"})
        if contender.launch is None:
            yield Instance(entry, None, self.site.back_tls if setup.tls else self.site.back, ask, self.site.root)
            return
        self._started += 1
        folder = self.site.root / f"{self._started:03}"
        folder.mkdir()
        port = free_port()
        launch = contender.launch(self.site, setup, folder, port)
        cores = self.cores.proxy if setup.pinned else self.cores.workers
        with running(launch, cores, port, folder) as pid:
            if contender.prepare is not None:
                contender.prepare(self.site, port)
            instance = Instance(entry, pid, port, contender.ask(self.site) if contender.ask else ask, folder)
            prove(instance)
            if setup.chain == "full":
                prove_it_refuses(instance)
            yield instance

    def keep(self, needed: Iterable[Entry]) -> None:
        """Stop everything that is not needed any more."""
        kept = set(needed)
        for entry in [entry for entry in self._running if entry not in kept]:
            self._running.pop(entry)[1].close()


def prove(instance: Instance) -> None:
    """One request must be answered with what the upstream says. Raises NotStarted."""
    ask = instance.ask
    try:
        status, body = fetch(instance, ask)
    except (OSError, http.client.HTTPException) as error:
        raise NotStarted(f"did not answer: {error!r}") from error
    expected = PAYLOAD if ask.answers is None else ask.answers
    if status != 200 or expected not in body:
        raise NotStarted(f"answered {status}: {body[:150]}")


def prove_it_refuses(instance: Instance) -> None:
    """Who claims the full chain must refuse a request without a token, and one that the condition does not allow. Raises NotStarted."""
    ask = instance.ask
    for changed in (replace(ask, headers={}), replace(ask, path="/api/v1/items/secret"), replace(ask, method="DELETE")):
        status, _ = fetch(instance, changed)
        if not 400 <= status < 500:
            raise NotStarted(f"answered {status} to {changed.method} {changed.path}, which it must refuse")


def fetch(instance: Instance, ask: Ask) -> tuple[int, str]:
    context = ssl._create_unverified_context()
    connection = (
        http.client.HTTPSConnection("127.0.0.1", instance.port, timeout=30, context=context)
        if instance.entry.setup.tls
        else http.client.HTTPConnection("127.0.0.1", instance.port, timeout=30)
    )
    with contextlib.closing(connection):
        connection.request(ask.method, ask.path, body=ask.body or None, headers=dict(ask.headers))
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
