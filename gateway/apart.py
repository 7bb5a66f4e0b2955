"""A configuration prepared in a short-lived process of its own: read, validated, its policies compiled.

Ten thousand rules take seconds of the interpreter's lock, for which every request in flight would wait again and again. So the
process that serves is handed what is cheap to take up (docs/decisions/0016). `python -m gateway.apart` is the other end of the
pipe; what it makes depends on the files, the variables and the version alone, and is refused where the version is another.
"""

import marshal
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway import __version__
from gateway.authz import parts
from gateway.build import Builder
from gateway.config.document import Document
from gateway.config.packing import pack, read_each, taken, texts
from gateway.core.errors import ConfigError, Problem
from gateway.resources import dry
from gateway.settings import Loaded, load
from gateway.undumpable import bare, kept_in

TIMEOUT: Final = 120.0
"""Seconds the process may take."""
STAMP: Final = f"{__version__} {sys.version}".encode()
FRAME: Final = 8


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared configuration: the documents of its files, its policy files as texts, what was compiled of these."""

    layers: bytes
    policies: bytes
    compiled: Sequence[bytes | memoryview]


def prepare(paths: Sequence[Path], env_files: Sequence[Path], environ: Mapping[str, str] | None) -> Prepared:
    """In this process: at the start, or where no other can be had."""
    seen: list[bytes] = []

    def read(files: Iterable[Path]) -> list[Document]:
        documents = read_each(files)
        seen.append(pack(documents if not seen else texts(documents)))
        return documents

    loaded = load(paths, env_files, environ=environ, read=read)
    layers, policies = seen
    return Prepared(layers, policies, _compiled(loaded))


def _compiled(loaded: Loaded) -> list[bytes]:
    """What a build makes of the policies; nothing where the configuration is refused before that."""
    if loaded.settings is None or loaded.errors:
        return []
    builder = Builder(loaded, loaded.settings, dry())
    builder.snapshot()
    return [] if builder.compiled is None else parts.pack(builder.compiled)


def prepared(
    paths: Sequence[Path], env_files: Sequence[Path], environ: Mapping[str, str] | None, timeout: float = TIMEOUT
) -> Prepared | None:
    """In a process of its own; blocks, so call it on a thread. None where none can be started, or one that is not like this one.

    Raises ConfigError where it is killed, as by a system that is out of memory, or does not come to an end: what did not go well
    there is not tried here, where requests are served.
    """
    variables = dict(os.environ if environ is None else environ)
    asked = marshal.dumps(([os.fsencode(path) for path in paths], [os.fsencode(path) for path in env_files], variables))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "gateway.apart"],
            input=asked,
            stdout=subprocess.PIPE,
            env=bare(),
            timeout=timeout,
            check=False,
            start_new_session=True,
        )
    except OSError:
        return None
    except subprocess.TimeoutExpired as error:
        raise _unprepared(f"the process that does it did not end within {timeout:g} s") from error
    if done.returncode < 0:
        raise _unprepared(f"the process that does it was ended by signal {-done.returncode}")
    return None if done.returncode else _read(done.stdout)


def _unprepared(why: str) -> ConfigError:
    return ConfigError([Problem("", 0, 0, "", f"the configuration could not be prepared: {why}", "reload once more")])


def framed(pieces: Iterable[bytes | memoryview]) -> bytes:
    """Pieces one after the other, each behind its length."""
    return b"".join(part for piece in pieces for part in (len(piece).to_bytes(FRAME), piece))


def unframed(content: bytes) -> list[memoryview]:
    """The pieces, not copied. Raises ValueError for what `framed` did not make."""
    pieces, rest = [], memoryview(content)
    while rest:
        length = int.from_bytes(rest[:FRAME])
        if len(rest) < FRAME + length:
            raise ValueError("cut short")
        pieces.append(rest[FRAME : FRAME + length])
        rest = rest[FRAME + length :]
    return pieces


def _read(content: bytes) -> Prepared | None:
    try:
        stamp, layers, policies, *compiled = unframed(content)
    except ValueError:
        return None
    return Prepared(bytes(layers), bytes(policies), compiled) if stamp == STAMP else None


def main() -> None:
    """What to read and the variables on standard input, what was prepared on standard output."""
    kept_in()
    paths, env_files, environ = taken(sys.stdin.buffer.read())
    made = prepare([Path(os.fsdecode(path)) for path in paths], [Path(os.fsdecode(path)) for path in env_files], environ)
    sys.stdout.buffer.write(framed([STAMP, made.layers, made.policies, *made.compiled]))


if __name__ == "__main__":
    main()
