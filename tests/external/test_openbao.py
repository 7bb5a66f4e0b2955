"""A real OpenBao: keys in its transit engine, secrets in its key-value engine, and logins to it by AppRole.

The server is another's program in an environment of its own (requirements/bao.in), in memory, on loopback.
"""

import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.secret import Secret
from gateway.credentials.cloud.hashicorp import VaultClient
from gateway.credentials.cloud.model import VaultServer
from gateway.credentials.sources.following import ask
from gateway.credentials.sources.source import RemoteSource
from gateway.credentials.vault.fault import Fault
from gateway.credentials.vault.place import entry
from gateway.fetch import HttpFetch
from gateway.settings import Loaded, load

BAO = Path(os.environ.get("BAO") or Path(__file__).parents[2] / ".make" / "bao" / "bin" / "bao")
ROOT = "root-of-a-test"
POLICY = """
path "transit/encrypt/latchgate" { capabilities = ["update"] }
path "transit/decrypt/latchgate" { capabilities = ["update"] }
path "secret/data/teams/*" { capabilities = ["read"] }
path "old/teams/*" { capabilities = ["read"] }
"""


class OpenBao:
    """A running server, as its operator uses it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, method: str, path: str, members: dict[str, Any] | None = None, token: str = ROOT) -> dict[str, Any]:
        body = None if members is None else json.dumps(members).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, f"/v1/{path}", body, {"X-Vault-Token": token})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise OSError(f"{method} {path}: {answer.status} {content!r}")
        found: dict[str, Any] = json.loads(content or b"{}")
        return found

    def furnish(self) -> dict[str, str]:
        """Engines, a policy and a role. Gives what logs in."""
        self.ask("POST", "sys/mounts/transit", {"type": "transit"})
        self.ask("POST", "sys/mounts/old", {"type": "kv", "options": {"version": "1"}})
        self.ask("POST", "transit/keys/latchgate", {})
        self.ask("PUT", "sys/policies/acl/latchgate", {"policy": POLICY})
        self.ask("POST", "sys/auth/approle", {"type": "approle"})
        self.ask("POST", "auth/approle/role/latchgate", {"token_policies": ["latchgate"], "token_ttl": "1h"})
        role = self.ask("GET", "auth/approle/role/latchgate/role-id")["data"]["role_id"]
        secret = self.ask("POST", "auth/approle/role/latchgate/secret-id", {})["data"]["secret_id"]
        return {"ROLE": role, "SECRET": secret}


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    if not BAO.exists():
        reason = "OpenBao is missing: `make test` installs it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    options = ["-dev", "-dev-no-store-token", f"-dev-root-token-id={ROOT}", f"-dev-listen-address=127.0.0.1:{port}"]
    environ = {**os.environ, "HOME": str(tmp_path_factory.mktemp("bao"))}
    with subprocess.Popen([BAO, "server", *options], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            server = OpenBao(port)
            wait(server, process)
            yield server
        finally:
            process.kill()


def wait(server: OpenBao, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "OpenBao ended"
        try:
            server.ask("GET", "secret/config")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("OpenBao did not start")


@pytest.fixture(scope="module")
def login(bao: OpenBao) -> dict[str, str]:
    return bao.furnish()


def server(bao: OpenBao) -> dict[str, Any]:
    approle = {"role_id": {"env": "ROLE"}, "secret_id": {"env": "SECRET"}}
    return {"url": bao.url, "approle": approle, "allow_private": True, "allow_plaintext": True}


def loaded(folder: Path, login: dict[str, str], **document: Any) -> Loaded:
    (folder / "config.yaml").write_text(json.dumps({"version": 1, **document}))
    return load([folder / "config.yaml"], environ=login)


def test_a_data_key_is_wrapped_by_the_transit_engine_after_a_login_by_approle(
    bao: OpenBao, login: dict[str, str], tmp_path: Path
) -> None:
    keys = {"keys": [{"id": "bao", "transit": {**server(bao), "key": "latchgate"}}]}
    ring = loaded(tmp_path, login, vault=keys).vault.ring
    assert ring is not None
    sealed = ring.seal(entry("bot"), Secret(b"a value"))
    opened = loaded(tmp_path, login, vault=keys, sealed={"bot": sealed})
    assert opened.errors == []
    assert opened.vault("bot").current().reveal() == b"a value"
    parts = sealed.split(":")
    other = ring.seal(entry("bot"), Secret(b"b")).split(":")
    assert loaded(tmp_path, login, vault=keys, sealed={"bot": ":".join([*parts[:3], other[3], *parts[4:]])}).vault.refused == {
        "bot": Fault.ALTERED
    }


@pytest.mark.parametrize(("mount", "version"), [("secret", 2), ("old", 1)])
async def test_a_secret_is_read_rotated_and_deleted(
    bao: OpenBao, login: dict[str, str], tmp_path: Path, mount: str, version: int
) -> None:
    def put(value: str) -> None:
        content = {"token": value}
        bao.ask("POST", f"{mount}/{'data/' if version == 2 else ''}teams/bot", {"data": content} if version == 2 else content)

    put("one")
    sources = {"kv": {**server(bao), "kind": "vault", "mount": mount, "version": version}}
    credentials = {"bot": {"inject": "bearer", "secret": {"vault": "teams/bot", "field": "token"}}}
    found = loaded(tmp_path, login, secret_sources=sources, credentials=credentials)
    assert found.errors == []
    [source] = found.secrets.of(RemoteSource)
    assert source.current().reveal() == b"one"
    put("two")
    fetch = HttpFetch(user_agent="test")
    assert (await ask(source, fetch)).outcome == "replaced"
    assert source.current().reveal() == b"two"
    bao.ask("DELETE", f"{mount}/{'data/' if version == 2 else ''}teams/bot")
    assert (await ask(source, fetch)).outcome == "gone"


def test_a_secret_that_is_not_there_and_one_that_is_not_allowed_are_told(
    bao: OpenBao, login: dict[str, str], tmp_path: Path
) -> None:
    sources = {"kv": {**server(bao), "kind": "vault"}}
    told = []
    for path in ("teams/nobody", "others/bot"):
        credentials = {"bot": {"inject": "bearer", "secret": {"vault": path}}}
        found = loaded(tmp_path, login, secret_sources=sources, credentials=credentials)
        told += [problem.message for problem in found.problems if problem.path.startswith("credentials")]
    assert "there is no secret 'teams/nobody'" in told[0]
    assert "answered 403" in told[1]


async def test_a_token_is_renewed_and_one_that_was_revoked_is_replaced_by_a_login(bao: OpenBao, login: dict[str, str]) -> None:
    bao.ask("POST", "secret/data/teams/own", {"data": {"value": "kept"}})
    now = [1000.0]

    class Source:
        name = "env:X"

        def __init__(self, value: str) -> None:
            self._secret = Secret(value.encode())

        def current(self) -> Secret:
            return self._secret

    client = VaultClient(
        VaultServer.model_validate(server(bao)),
        lambda reference: Source(login[reference.env]),  # type: ignore[union-attr]
        lambda: now[0],
    )
    fetch = HttpFetch(user_agent="test")
    assert (await client.ask(fetch, "secret/data/teams/own")).status == 200
    assert client._held is not None
    first = client._held.token
    now[0] += 3000
    assert (await client.ask(fetch, "secret/data/teams/own")).status == 200
    assert client._held.token == first
    assert client._held.ends > 1000 + 3600
    bao.ask("POST", "auth/token/revoke", {"token": first.reveal().decode()})
    assert (await client.ask(fetch, "secret/data/teams/own")).status == 200
    assert client._held.token != first
