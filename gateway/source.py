"""Where a configuration comes from: files, or another process that has read them and hands them over.

A worker that starts anew must serve what the others serve, not what somebody is just editing; so what was read is kept, and
handed over as a parcel: documents, the list of policy files, variables. Other files (keys, certificates) each process reads itself.
"""

import marshal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.config.apart import pack, read_apart, read_each, unpack
from gateway.config.document import Document
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
        """With the parsing in a process of its own, so that requests do not wait for it: for reloads."""
        return load(self.paths, self.env_files, environ=self.environ, read=read_apart)

    def load_to_hand_over(self, *, apart: bool) -> tuple[Loaded, bytes]:
        """The configuration, and the parcel that makes another process load the same. Secrets of the environment are in it."""
        seen: list[bytes] = []
        reads = read_apart if apart else read_each

        def read(paths: Iterable[Path]) -> list[Document]:
            documents = reads(paths)
            seen.append(pack(documents))
            return documents

        loaded = load(self.paths, self.env_files, environ=self.environ, read=read)
        layers, policies = seen
        return loaded, marshal.dumps((layers, policies, dict(loaded.secrets.variables)))


class Handed:
    """A configuration that another process has read."""

    def __init__(self, parcel: bytes) -> None:
        self._parcel = parcel

    def load(self) -> Loaded:
        """The same configuration as the other process has."""
        packed, policies, variables = marshal.loads(self._parcel)  # noqa: S302  made by load_to_hand_over, one process up
        layers, listed = unpack(packed), unpack(policies)
        known = {document.file: document for document in (*layers, *listed)}

        def read(paths: Iterable[Path]) -> list[Document]:
            return [known[str(path)] for path in paths]

        return load(paths_of(layers), environ=variables, read=read, policies_at=paths_of(listed))

    def load_apart(self) -> Loaded:
        """As `load`: nothing is parsed."""
        return self.load()


def paths_of(documents: Iterable[Document]) -> list[Path]:
    """The files they were read from."""
    return [Path(document.file) for document in documents]
