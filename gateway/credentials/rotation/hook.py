"""Runs the program that mints and revokes: no shell, no environment of ours, secrets by standard input and output alone.

It is bounded in time and in what it says, and ended with all that it started. Nothing that it prints is logged.
"""

import asyncio
import json
import os
import signal
import stat
from asyncio.subprocess import DEVNULL
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

from gateway.core.secret import Secret
from gateway.core.strict_json import InvalidJson, parse
from gateway.credentials.rotation.minter import NotDone
from gateway.credentials.rotation.model import Hook
from gateway.credentials.rotation.record import LONGEST_SECRET, Held

ENVIRONMENT: Final[Mapping[str, str]] = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
LONGEST: Final = 64 * 1024
"""Bytes of an answer."""
LONGEST_HANDLE: Final = 1024
MEMBERS: Final = frozenset({"secret", "revoke"})
LAST_WORD: Final = 1.0
"""Seconds in which a process that was killed is gone."""


class Program:
    """A hook. Implements `minter.Minter`."""

    replaces = False
    cut_off = "a gateway ended while the hook was minting: the provider may have a secret that nobody holds"

    def __init__(self, model: Hook) -> None:
        self._command = model.command
        self.patience = model.timeout

    async def mint(self, old: Held) -> Held:
        return read(await run([*self._command, "mint"], self.patience, _told(old)))

    async def revoke(self, gone: Held, current: Secret | None) -> None:
        """Some providers want to be asked with the one in force."""
        told = {**_told(gone), "current": _text(current) if current is not None else None}
        await run([*self._command, "revoke"], self.patience, told)


def read(answer: bytes) -> Held:
    """What a hook minted: a JSON object of `secret` and, where revoking needs one, `revoke`. Raises NotDone."""
    try:
        found = parse(answer)
    except (InvalidJson, ValueError, RecursionError):
        raise NotDone("the hook answered no JSON") from None
    if not isinstance(found, dict) or "secret" not in found or not found.keys() <= MEMBERS:
        raise NotDone("the hook answered no JSON object of `secret` and `revoke`")
    secret, handle = found["secret"], found.get("revoke")
    if not isinstance(secret, str) or not 0 < len(secret.encode()) <= LONGEST_SECRET:
        raise NotDone(f"the hook answered a `secret` that is no text of 1 byte to {LONGEST_SECRET // 1024} KiB")
    if handle is not None and (not isinstance(handle, str) or len(handle.encode()) > LONGEST_HANDLE):
        raise NotDone(f"the hook answered a `revoke` that is no text of at most {LONGEST_HANDLE} bytes")
    return Held(Secret(secret.encode()), handle)


def unfit(program: Path) -> str:
    """Why a program is not run, "" where it may be."""
    try:
        mode = program.stat().st_mode
    except OSError as error:
        return f"cannot be run: {error.strerror or 'input error'}"
    if not stat.S_ISREG(mode):
        return "cannot be run: it is no file"
    return "may be written by everybody: chmod o-w" if mode & stat.S_IWOTH else ""


async def run(command: Sequence[str], seconds: float, told: Mapping[str, str | None]) -> bytes:
    """What the program printed. Raises NotDone unless it ended well, in time, with at most LONGEST bytes."""
    if wrong := unfit(Path(command[0])):
        raise NotDone(f"the hook {wrong}")
    loop = asyncio.get_running_loop()
    try:
        transport, talk = await loop.subprocess_exec(
            lambda: _Talk(loop.create_future(), loop.create_future()),
            *command,
            stderr=DEVNULL,
            env=dict(ENVIRONMENT),
            cwd="/",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise NotDone(f"the hook cannot be run: {getattr(error, 'strerror', None) or type(error).__name__}") from None
    has_ended = False
    try:
        _tell(transport, json.dumps(told).encode())
        async with asyncio.timeout(seconds):
            await talk.ended
        has_ended = True
    except TimeoutError:
        raise NotDone(f"the hook did not end within {seconds:g} s") from None
    finally:
        await _end(transport, talk, has_ended)
    if code := transport.get_returncode():
        raise NotDone(f"the hook ended with exit status {code}")
    return bytes(talk.answer)


class _Talk(asyncio.SubprocessProtocol):
    """What a program says. `gone` is when it ended, `ended` when nobody holds its output any more either."""

    def __init__(self, ended: asyncio.Future[None], gone: asyncio.Future[None]) -> None:
        self.answer = bytearray()
        self.ended = ended
        self.gone = gone

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.answer += data
        if len(self.answer) > LONGEST and not self.ended.done():
            self.answer.clear()
            self.ended.set_exception(NotDone(f"the hook answered more than {LONGEST // 1024} KiB"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._group = cast("asyncio.SubprocessTransport", transport).get_pid()

    def process_exited(self) -> None:
        """What it left behind has read the secret, and may hold the output open: uvloop lets it inherit more than it should."""
        _kill(self._group)
        self.gone.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _tell(transport: asyncio.SubprocessTransport, text: bytes) -> None:
    """It need not read what it does not need."""
    pipe = transport.get_pipe_transport(0)
    if pipe is not None:
        writing = cast("asyncio.WriteTransport", pipe)  # uvloop's says so in no other way
        with suppress(RuntimeError, OSError):  # it may have ended by now
            writing.write(text)
            writing.write_eof()


async def _end(transport: asyncio.SubprocessTransport, talk: _Talk, has_ended: bool) -> None:
    """Kill what did not end, and all that it started."""
    if not has_ended:
        _kill(transport.get_pid())
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD):
                await asyncio.shield(talk.gone)
    transport.close()


def _told(held: Held) -> dict[str, str | None]:
    return {"secret": _text(held.secret), "revoke": held.handle}


def _text(secret: Secret) -> str:
    try:
        return secret.reveal().decode()
    except UnicodeDecodeError:
        raise NotDone("the hook cannot be told: the secret is no UTF-8 text") from None
