"""A real PostgreSQL process on a unix socket and a TLS port of its own. It refuses to run as root, so root runs it as another."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trustme

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
SUPERUSER = "postgres"


class PostgresServer:
    """One server in one folder. Databases in it are cheap: each test asks for its own."""

    def __init__(self, *, durable: bool = False) -> None:
        """`durable`: what is committed reaches the disk, which no test needs."""
        assert BINARIES, "PostgreSQL is needed: apt install postgresql"
        self._binaries = BINARIES[-1]
        self._durable = durable
        # Short, as a unix socket's path must be, and where the other account can go.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self.ca = trustme.CA()
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    def start(self) -> "PostgresServer":
        account = self._account()
        if account:
            os.chown(self.folder, account["user"], account["group"])
        folder = self.folder / "data"
        options = ["--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256", f"--username={SUPERUSER}", "--locale=C"]
        self._run(["initdb", "--pgdata", str(folder), *options, "--encoding=UTF8"])
        self._certify(folder, account)
        settings = [
            "ssl=on",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.folder}",
            f"fsync={'on' if self._durable else 'off'}",
            "max_connections=40",
        ]
        arguments = [word for setting in settings for word in ("-c", setting)]
        command = [str(self._binaries / "postgres"), "-D", str(folder), "-p", str(self.port), *arguments]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **account)
        self._wait()
        return self

    def _certify(self, folder: Path, account: dict[str, Any]) -> None:
        leaf = self.ca.issue_cert("127.0.0.1")
        (folder / "server.crt").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        key = folder / "server.key"
        key.touch(0o600)
        key.write_bytes(leaf.private_key_pem.bytes())
        if account:
            os.chown(key, account["user"], account["group"])
            (folder / "server.crt").chmod(0o644)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(timeout=20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self) -> str:
        """A new, empty database; its name."""
        name = f"t{secrets.token_hex(6)}"
        self.sql(f"CREATE DATABASE {name}")
        return name

    def url(self, database: str) -> str:
        """By the unix socket, where the server asks for no password."""
        return f"postgresql://:{self.port}/{database}?host={self.folder}"

    def sql(self, statement: str, database: str = "postgres", user: str = SUPERUSER) -> str:
        """What psql prints."""
        options = ["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder), "-p", str(self.port), "-U", user]
        return self._run(["psql", *options, "-c", statement, database])

    def dump(self, database: str) -> str:
        return self._run(["pg_dump", "-h", str(self.folder), "-p", str(self.port), "-U", SUPERUSER, database])

    def _wait(self) -> None:
        command = [str(self._binaries / "pg_isready"), "-q", "-t", "30", "-h", str(self.folder), "-p", str(self.port)]
        for _ in range(600):
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "log").read_text(errors="replace")
            if subprocess.run(command, timeout=60).returncode == 0:
                return
        raise AssertionError("PostgreSQL does not answer")

    def _run(self, command: Sequence[str]) -> str:
        account = self._account()
        whole = [str(self._binaries / command[0]), *command[1:]]
        done: subprocess.CompletedProcess[str] = subprocess.run(
            whole, capture_output=True, text=True, timeout=60, cwd=self.folder, **account
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _account(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        names = {entry.pw_name for entry in pwd.getpwall()}
        found = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
        return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
