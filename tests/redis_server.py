"""A real redis-server process on a unix socket or a TLS port of its own, that a test may kill, freeze and start again."""

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import redis


class RedisServer:
    """One server in one folder. `url` stays the same over restarts; nothing is persisted."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._socket = folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}"

    def start(self, password: str | None = None) -> "RedisServer":
        executable = shutil.which("redis-server")
        assert executable is not None, "redis-server is needed: apt install redis-server"
        secret = ["--requirepass", password] if password else []
        log = self._folder / "redis.log"
        command = [executable, "--port", "0", "--unixsocket", str(self._socket), "--dir", str(self._folder), "--daemonize", "no"]
        command += ["--save", "", "--appendonly", "no", *secret, *self._options]
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        self._wait_until_it_answers(log)
        return self

    def _wait_until_it_answers(self, log: Path) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            assert self._process is not None
            assert self._process.poll() is None, log.read_text(errors="replace")
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.settimeout(5)
                    probe.connect(str(self._socket))
                    probe.sendall(b"PING\r\n")
                    if probe.recv(64)[:1] in {b"+", b"-"}:
                        return
                except OSError:
                    time.sleep(0.01)
        raise AssertionError("redis-server does not answer")

    def client(self, password: str | None = None) -> redis.Redis:
        """An independent client, to look at what the gateway wrote."""
        return redis.Redis(unix_socket_path=str(self._socket), password=password)

    def freeze(self) -> None:
        """The server keeps its connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once. Harmless where it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=30)
            self._process = None
            self._socket.unlink(missing_ok=True)
