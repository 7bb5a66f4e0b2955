"""Secret references -> their values: from the environment once, from files again whenever they change."""

import logging
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeVar, assert_never

from gateway.config.local import EnvSource, FileSource
from gateway.config.values import AwsSecret, EnvSecret, FileSecret, GcpSecret, Reference, RemoteReference, SealedSecret, VaultSecret
from gateway.core.errors import DependencyDown
from gateway.core.ports import Metrics, SecretSource
from gateway.core.secret import Secret

# A reference names one secret. What another store would expand to many is refused (docker/mcp-gateway #467).
PATTERNED: Final = re.compile(r"[*?\[\x00-\x1f\x7f]|(?:^|/)\.\.(?:/|$)")

log = logging.getLogger(__name__)
S = TypeVar("S")


class Secrets:
    """Every secret a configuration refers to: one source per reference, shared by whoever asks for it."""

    def __init__(self, variables: Mapping[str, str], metrics: Metrics | None = None) -> None:
        self._variables = variables
        self._sources: dict[Reference, SecretSource] = {}
        self._sealed: Callable[[str], SecretSource] = _no_vault
        self._remote: Callable[[RemoteReference], SecretSource] = _no_service
        self._failing: set[str] = set()
        self.metrics = metrics

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables as they were at load, for another process that shall load the same. They hold secrets."""
        return self._variables

    def __repr__(self) -> str:
        return f"Secrets({len(self._sources)})"

    def __call__(self, reference: Reference) -> SecretSource:
        """The source of a reference, its value read. Raises ValueError when there is none."""
        known = self._sources.get(reference)
        if known is None:
            known = self._sources[reference] = self._source(reference)
        return known

    def unseal(self, sealed: Callable[[str], SecretSource]) -> None:
        """From now on references to sealed values are known: `sealed` gives the source of a name or raises ValueError."""
        self._sealed = sealed

    def ask(self, remote: Callable[[RemoteReference], SecretSource]) -> None:
        """From now on services are asked: `remote` gives the source of a reference, read, or raises ValueError."""
        self._remote = remote

    def of(self, kind: type[S]) -> list[S]:
        """The sources of one kind that are in use."""
        return [source for source in list(self._sources.values()) if isinstance(source, kind)]

    def _source(self, reference: Reference) -> SecretSource:
        match reference:
            case EnvSecret():
                return self._env(reference.env)
            case FileSecret():
                return self._file(str(reference.file))
            case SealedSecret():
                return self._sealed(reference.sealed)
            case VaultSecret() | AwsSecret() | GcpSecret():
                return self._remote(reference)
            case _ as never:
                assert_never(never)

    def adopt(self, previous: "Secrets") -> None:
        """Go on with the sources of the configuration before, where their values are the same: what holds one keeps it fresh."""
        for reference, source in previous._sources.items():
            mine = self._sources.get(reference)
            if mine is not None and (isinstance(source, FileSource) or _goes_on(source, mine)):
                self._sources[reference] = source
        self.metrics = previous.metrics
        self.refresh()

    def exposed(self, reference: Reference) -> bool:
        """Whether a referenced file is readable by everybody."""
        source = self._sources.get(reference)
        return isinstance(source, FileSource) and source.is_exposed()

    def refresh(self) -> int:
        """Look at every file again; how many values changed. Blocks on the file system: call it on a thread, now and then."""
        return sum(self._refreshed(source) for source in self._sources.values() if isinstance(source, FileSource))

    def _refreshed(self, source: FileSource) -> bool:
        try:
            changed = source.refresh()
        except ValueError as error:
            if self.metrics is not None:
                self.metrics.count("gateway.secret.refresh_failures", source=source.name)
            if source.name not in self._failing:
                log.warning("secret not refreshed, the last value stays", extra={"source": source.name, "error": str(error)})
            self._failing.add(source.name)
            return False
        self._failing.discard(source.name)
        if changed:
            log.info("secret replaced", extra={"source": source.name})
        return changed

    def _env(self, name: str) -> EnvSource:
        value = self._variables.get(name)
        if value is None:
            raise ValueError(f"the variable {name} is not set (set it, or name a file of variables with --env-file)")
        if not value:
            raise ValueError(f"the variable {name} is empty")
        return EnvSource(f"env:{name}", Secret(value.encode("utf-8", "surrogateescape")))

    def _file(self, path: str) -> FileSource:
        if PATTERNED.search(path):
            raise ValueError("a secret's file is one plain path: no wildcards, no '..', no control characters")
        source = FileSource(path)
        source.refresh()
        return source


def _no_service(_: RemoteReference) -> SecretSource:
    raise ValueError("a secret that opens others is {env: NAME} or {file: PATH}: services are not asked yet")


def _no_vault(name: str) -> SecretSource:
    raise ValueError(f"nothing is sealed here: '{name}' is not known")


def _goes_on(source: SecretSource, mine: SecretSource) -> bool:
    """Whether a source stays in the place of what a reload has made of the same reference. One that is followed says so itself."""
    takes_over: Callable[[SecretSource], bool] | None = getattr(source, "take_over", None)
    return takes_over(mine) if takes_over is not None else type(source) is type(mine) and _alike(source, mine)


def _alike(one: SecretSource, other: SecretSource) -> bool:
    """Whether both have the same value. A revoked one has none."""
    try:
        return one.current() == other.current()
    except DependencyDown:
        return False
