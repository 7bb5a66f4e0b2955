"""Where a configuration comes from: files, or another process that has read them and hands them over.

A worker that starts anew must serve what the others serve, not what somebody is just editing; so what was read is kept, and
handed over as a parcel: documents, compiled policies, variables. Other files (keys, certificates) each process reads itself.
"""

import marshal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gateway.apart import Prepared, framed, prepare, prepared, unframed
from gateway.authz import parts
from gateway.config.document import Document
from gateway.config.packing import taken, unpack
from gateway.settings import Loaded, load


@dataclass(frozen=True, slots=True)
class Source:
    """Where the configuration comes from: files, later ones over earlier ones, variable files, the environment."""

    paths: Sequence[Path]
    env_files: Sequence[Path] = ()
    environ: Mapping[str, str] | None = None

    def load(self) -> Loaded:
        """In this process: for the start."""
        return load(self.paths, self.env_files, environ=self.environ)

    def load_apart(self) -> Loaded:
        """Prepared in a process of its own, so that requests do not wait for it: for reloads. Raises ConfigError."""
        made = prepared(self.paths, self.env_files, self.environ)
        if made is None:
            return self.load()
        return with_policies(self.loaded(made), made)

    def load_to_hand_over(self, *, apart: bool) -> tuple[Loaded, bytes]:
        """The configuration without its policies, and the parcel that makes another process load all of it. Raises ConfigError.

        Secrets of the environment are in the parcel.
        """
        made = prepared(self.paths, self.env_files, self.environ) if apart else None
        if made is None:
            made = prepare(self.paths, self.env_files, self.environ)
        loaded = self.loaded(made)
        variables = marshal.dumps(dict(loaded.secrets.variables))
        return loaded, framed([variables, made.layers, made.policies, *made.compiled])

    def loaded(self, made: Prepared) -> Loaded:
        """What was prepared from these files, without its policies."""
        return _load(made, self.paths, self.env_files, environ=self.environ)


class Handed:
    """A configuration that another process has prepared."""

    def __init__(self, parcel: bytes) -> None:
        self._parcel = parcel

    def load(self) -> Loaded:
        """The same configuration as the other process has."""
        variables, layers, policies, *compiled = unframed(self._parcel)
        made = Prepared(bytes(layers), bytes(policies), compiled)
        return with_policies(_load(made, paths_of(unpack(made.layers)), environ=taken(variables)), made)

    def load_apart(self) -> Loaded:
        """As `load`: everything is prepared."""
        return self.load()


def _load(made: Prepared, paths: Sequence[Path], *more: Any, **environ: Any) -> Loaded:
    """The configuration of files that are read already: those of the configuration first, then those of the policies."""
    policies = unpack(made.policies)
    documents = iter([unpack(made.layers), policies])

    def read(_: Iterable[Path]) -> list[Document]:
        return next(documents)

    return load(paths, *more, read=read, policies_at=paths_of(policies), **environ)


def with_policies(loaded: Loaded, made: Prepared) -> Loaded:
    """The policies taken up as they were compiled, where they were."""
    return replace(loaded, compiled=parts.take(made.compiled)) if made.compiled else loaded


def paths_of(documents: Iterable[Document]) -> list[Path]:
    """The files they were read from."""
    return [Path(document.file) for document in documents]
