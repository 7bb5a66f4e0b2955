"""A key in a transit engine: a stand-in that speaks as Vault and OpenBao do, over real sockets."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.credentials.vault import cipher
from gateway.credentials.vault.fault import Fault, NotOpened
from gateway.credentials.vault.place import entry
from gateway.settings import Loaded, load

KEY = bytes(range(32))
TOKEN = "hvs.CAESIJ-canary-token"
Answer = tuple[int, Any]


class Engine(ThreadingHTTPServer):
    """Encrypts and decrypts with associated data; `answer` may say something else instead."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answer: Callable[[str], Answer | None] = lambda action: None

    def act(self, action: str, given: dict[str, str]) -> Answer:
        bound = base64.b64decode(given["associated_data"])
        if action == "encrypt":
            nonce, text = cipher.encrypt(KEY, base64.b64decode(given["plaintext"]), bound)
            return 200, {"data": {"ciphertext": "vault:v1:" + base64.b64encode(nonce + text).decode(), "key_version": 1}}
        raw = base64.b64decode(given["ciphertext"].removeprefix("vault:v1:"))
        try:
            plain = cipher.decrypt(KEY, raw[:12], raw[12:], bound)
        except NotOpened:
            return 400, {"errors": ["cipher: message authentication failed"]}
        return 200, {"data": {"plaintext": base64.b64encode(plain).decode()}}


class Asked(BaseHTTPRequestHandler):
    server: Engine

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        action = self.path.split("/")[-2]
        status, answer = self.server.answer(action) or self.server.act(action, body)
        raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Written:
    """A configuration whose key is in the engine."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.file = folder / "config.yaml"
        self.transit: dict[str, Any] = {
            "url": f"http://127.0.0.1:{engine.server_port}",
            "key": "latchgate",
            "token": {"env": "VAULT_TOKEN"},
            "allow_private": True,
            "allow_plaintext": True,
        }

    def load(self, sealed: dict[str, str] | None = None, **over: Any) -> Loaded:
        transit = {name: value for name, value in (self.transit | over).items() if value is not None}
        document = {"version": 1, "vault": {"keys": [{"id": "k1", "transit": transit}]}, "sealed": sealed or {}}
        self.file.write_text(json.dumps(document))
        return load([self.file], environ={"VAULT_TOKEN": TOKEN})

    def sealed(self, *names: str) -> dict[str, str]:
        ring = self.load().vault.ring
        assert ring is not None
        return {name: ring.seal(entry(name), Secret(b"a value")) for name in names}


@pytest.fixture
def written(tmp_path: Path, engine: Engine) -> Written:
    return Written(tmp_path, engine)


def errors(loaded: Loaded) -> list[str]:
    return [problem.message for problem in loaded.errors]


def test_the_engine_wraps_and_unwraps_and_never_sees_a_value(written: Written, engine: Engine) -> None:
    loaded = written.load(written.sealed("bot"), mount="kv/transit", namespace="team-a")
    assert errors(loaded) == []
    assert loaded.vault("bot").current().reveal() == b"a value"
    assert [path for path, _ in engine.asked] == ["/v1/transit/encrypt/latchgate", "/v1/kv/transit/decrypt/latchgate"]
    assert {headers["x-vault-token"] for _, headers in engine.asked} == {TOKEN}
    assert engine.asked[1][1]["x-vault-namespace"] == "team-a"


async def test_it_is_asked_inside_an_event_loop_too(written: Written) -> None:
    """A start loads its configuration there."""
    assert errors(written.load(written.sealed("bot"))) == []


def test_what_the_engine_refuses_does_not_open(written: Written) -> None:
    sealed = written.sealed("bot")["bot"]
    parts = sealed.split(":")
    parts[3] = base64.urlsafe_b64encode(b"vault:v1:" + base64.b64encode(bytes(60))).decode().rstrip("=")
    loaded = written.load({"bot": ":".join(parts)})
    assert loaded.vault.refused == {"bot": Fault.ALTERED}
    assert "the transit engine refuses it" in errors(loaded)[0]


def test_a_data_key_that_another_kind_of_key_wrapped_is_not_sent(written: Written, engine: Engine) -> None:
    parts = written.sealed("bot")["bot"].split(":")
    parts[3] = base64.urlsafe_b64encode(bytes(60)).decode().rstrip("=")
    engine.asked.clear()
    assert written.load({"bot": ":".join(parts)}).vault.refused == {"bot": Fault.MALFORMED}
    assert engine.asked == []


ANSWERS: dict[str, Answer] = {
    "403": (403, {"errors": [f"permission denied: {TOKEN}"]}),
    "sealed itself": (503, {"errors": ["Vault is sealed"]}),
    "a redirect": (307, b""),
    "no JSON": (200, b"<html>"),
    "other JSON": (200, ["x"]),
    "no data": (200, {"data": None}),
    "no text": (200, {"data": {"plaintext": 7, "ciphertext": 7}}),
    "too long": (200, b" " * 20_000),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_engine_that_does_not_answer_well_refuses_the_configuration_is_asked_once_and_never_quoted(
    written: Written, engine: Engine, answer: Answer
) -> None:
    sealed = written.sealed("one", "two")
    engine.answer = lambda action: answer
    engine.asked.clear()
    loaded = written.load(sealed)
    assert [(problem.path, problem.message.partition(":")[0]) for problem in loaded.errors] == [
        ("sealed.one", "cannot be opened now")
    ]
    assert loaded.vault.refused == {}
    assert len(engine.asked) == 1
    assert TOKEN not in str(loaded.problems)
    ring = loaded.vault.ring
    assert ring is not None
    with pytest.raises(DependencyDown):
        ring.seal(entry("x"), Secret(b"x"))


@pytest.mark.parametrize("plain", [b"", bytes(16), bytes(33)], ids=len)
def test_a_data_key_of_another_length_is_refused(written: Written, engine: Engine, plain: bytes) -> None:
    sealed = written.sealed("bot")
    engine.answer = lambda action: (200, {"data": {"plaintext": base64.b64encode(plain).decode()}})
    assert written.load(sealed).vault.refused == {"bot": Fault.ALTERED}


@pytest.mark.parametrize("plain", ["ключ" * 11, "\u212a" * 44, "!" * 44])
def test_a_data_key_that_is_no_base64_is_refused(written: Written, engine: Engine, plain: str) -> None:
    sealed = written.sealed("bot")
    engine.answer = lambda action: (200, {"data": {"plaintext": plain}})
    assert written.load(sealed).vault.refused == {"bot": Fault.ALTERED}


def test_an_engine_that_is_gone_is_told(written: Written, engine: Engine) -> None:
    sealed = written.sealed("bot")
    engine.shutdown()
    engine.server_close()
    began = time.monotonic()
    assert "cannot be opened now: 127.0.0.1" in errors(written.load(sealed))[0]
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ({"allow_plaintext": None}, "the scheme must be https"),
        ({"token": {"sealed": "bot"}}, "the token that opens what is sealed cannot be sealed itself"),
        ({"token": {"env": "NOWHERE"}}, "the variable NOWHERE is not set"),
        ({"url": "https://vault.example.com/v1"}, "does not match"),
        ({"mount": "../sys"}, "does not match"),
        ({"key": "a/b"}, "a name has letters"),
    ],
    ids=["plaintext", "sealed token", "no token", "a path", "another engine", "another key"],
)
def test_what_does_not_fit_is_told(written: Written, over: dict[str, Any], told: str) -> None:
    assert [message for message in errors(written.load(**over)) if told in message]


def test_a_private_address_must_be_allowed(written: Written) -> None:
    sealed = written.sealed("bot")
    assert "`allow_private: true` allows private ones" in errors(written.load(sealed, allow_private=None))[0]
