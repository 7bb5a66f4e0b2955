"""The load at a constant rate: openloop.c, compiled when it is first needed, and proven not to forgive a stall."""

import json
import shutil
import socket
import subprocess
import threading
from pathlib import Path

from bench.contenders.contender import Ask
from bench.contenders.place import beneath
from bench.figures import Sample
from bench.load import CONNECTIONS, Unclean, rendered

STALL = 0.5
"""Seconds the server of the proof keeps its first answer back."""


def open_loop(
    port: int, ask: Ask, rate: float, seconds: float, folder: Path, *, connections: int = CONNECTIONS, warm: float = 0.5
) -> Sample:
    """One run at a constant rate: `p50_us`, `p99_us` and more, counted from when each request was due. Raises Unclean."""
    request = folder / "request"
    request.write_text(rendered(ask))
    command = [str(generator()), str(port), str(connections), f"{rate:.1f}", f"{seconds:.1f}", f"{warm:g}", str(request)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode:
        raise Unclean(done.stderr.strip()[:200])
    found: Sample = json.loads(done.stdout)
    if found["errors"] or found["answered"] < found["due"]:
        raise Unclean(f"{found['due'] - found['answered']:.0f} requests unanswered, {found['errors']:.0f} not 200")
    return found | {"rate": rate}


def generator() -> Path:
    """The open-loop generator, compiled where its source is newer. Raises Unclean without a compiler."""
    source, binary = Path(__file__).with_name("openloop.c"), beneath("openloop")
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        if shutil.which("gcc") is None:
            raise Unclean("gcc is missing, which compiles the open-loop generator")
        binary.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["gcc", "-O2", "-o", str(binary), str(source)], capture_output=True, text=True)
        if done.returncode:
            raise Unclean(f"the open-loop generator does not compile: {done.stderr.strip()[-200:]}")
        prove(binary)
    return binary


def prove(binary: Path) -> None:
    """Of requests due within a second the first is answered late: all that were due meanwhile must count their waiting.

    A generator that waits with its clock too (coordinated omission) would report one slow request of a hundred. Raises Unclean
    and removes the binary.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=stalled, args=(server,), daemon=True).start()
        request = binary.with_suffix(".request")
        request.write_text(rendered(Ask()))
        command = [str(binary), str(server.getsockname()[1]), "1", "100", "1", "0", str(request)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    found = json.loads(done.stdout or "{}")
    if found.get("answered") != 100 or found["p90_us"] < 0.5 * STALL * 1e6:
        binary.unlink()
        raise Unclean(f"the open-loop generator does not count waiting: {done.stdout or done.stderr}")


def stalled(server: socket.socket) -> None:
    """Answer one connection's requests, the first of them late."""
    client, _ = server.accept()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with client:
        client.recv(65536)
        threading.Event().wait(STALL)
        client.sendall(answer)
        while piece := client.recv(65536):
            client.sendall(answer * piece.count(b"\r\n\r\n"))
