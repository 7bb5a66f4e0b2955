"""Keys in AWS KMS and Google Cloud KMS: stand-ins that check every field of what they are asked, over real sockets."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.credentials.cloud.crc32c import crc32c
from gateway.credentials.vault import cipher
from gateway.credentials.vault.fault import Fault, NotOpened
from gateway.credentials.vault.place import entry
from gateway.settings import Loaded, load
from tests import aws
from tests.clouds import Asked, Reply, Service, serving

KEY = bytes(range(32))
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
ARN = f"arn:aws:kms:eu-central-1:111122223333:key/{KEY_ID}"
NAME = "projects/acme/locations/global/keyRings/latchgate/cryptoKeys/secrets"
TOKEN = "ya29.canary-access-token"


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


class Kms:
    """AWS KMS with one key. `over` is laid over its answers."""

    def __init__(self) -> None:
        self.instead: Callable[[str], Reply | None] = lambda action: None
        self.over: dict[str, Any] = {}

    def __call__(self, asked: Asked) -> Reply:
        told = aws.verify(asked.method, asked.target, asked.headers, asked.body)
        assert {"content-type", "host", "x-amz-date", "x-amz-target"} <= set(told.names)
        assert (asked.method, asked.target, asked.header("content-type")) == ("POST", "/", "application/x-amz-json-1.1")
        action, said = str(asked.header("x-amz-target")).removeprefix("TrentService."), asked.json()
        assert said.pop("KeyId") == ARN
        assert said.pop("EncryptionAlgorithm") == "SYMMETRIC_DEFAULT"
        context = said.pop("EncryptionContext")
        assert set(context) == {"latchgate", "stage"}
        assert re.fullmatch("[0-9a-f]{64}", context["latchgate"])
        return self.instead(action) or self._act(action, said, json.dumps(context, sort_keys=True).encode())

    def _act(self, action: str, said: dict[str, str], bound: bytes) -> Reply:
        key = {"KeyId": ARN, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
        if action == "Encrypt":
            assert set(said) == {"Plaintext"}
            nonce, text = cipher.encrypt(KEY, base64.b64decode(said["Plaintext"]), bound)
            return 200, {**key, "CiphertextBlob": b64(b"\x01" + nonce + text)} | self.over
        assert (action, set(said)) == ("Decrypt", {"CiphertextBlob"})
        raw = base64.b64decode(said["CiphertextBlob"])
        try:
            plain = cipher.decrypt(KEY, raw[1:13], raw[13:], bound)
        except NotOpened:
            return 400, {"__type": "InvalidCiphertextException"}
        return 200, {**key, "Plaintext": b64(plain)} | self.over


class CloudKms:
    """Google Cloud KMS with one key, and the token endpoint beside it."""

    def __init__(self) -> None:
        self.instead: Callable[[str], Reply | None] = lambda action: None
        self.over: dict[str, Any] = {}
        self.tokens = 0

    def __call__(self, asked: Asked) -> Reply:
        if asked.target == "/token":
            assert asked.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
            self.tokens += 1
            return 200, {"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}
        path, _, action = asked.target.partition(":")
        assert (asked.method, path) == ("POST", f"/v1/{NAME}")
        assert asked.header("authorization") == f"Bearer {TOKEN}"
        said = asked.json()
        content = {name: base64.b64decode(value) for name, value in said.items() if not name.endswith("Crc32c")}
        assert said == {
            **{name: said[name] for name in content},
            **{f"{name}Crc32c": str(crc32c(raw)) for name, raw in content.items()},
        }
        return self.instead(action) or self._act(action, content)

    def _act(self, action: str, content: dict[str, bytes]) -> Reply:
        bound = content["additionalAuthenticatedData"]
        if action == "encrypt":
            nonce, text = cipher.encrypt(KEY, content["plaintext"], bound)
            verified = {"verifiedPlaintextCrc32c": True, "verifiedAdditionalAuthenticatedDataCrc32c": True}
            return 200, {"name": f"{NAME}/cryptoKeyVersions/3", **summed("ciphertext", nonce + text), **verified} | self.over
        assert action == "decrypt"
        try:
            plain = cipher.decrypt(KEY, content["ciphertext"][:12], content["ciphertext"][12:], bound)
        except NotOpened:
            return 400, {"error": {"code": 400, "status": "INVALID_ARGUMENT"}}
        return 200, {**summed("plaintext", plain), "usedPrimary": True} | self.over


def summed(name: str, raw: bytes) -> dict[str, str]:
    return {name: b64(raw), f"{name}Crc32c": str(crc32c(raw))}


class Written:
    """A configuration whose key is with a service."""

    def __init__(self, folder: Path, kind: str, service: Service, at: Kms | CloudKms) -> None:
        self.file, self.kind, self.service, self.at = folder / "config.yaml", kind, service, at
        dial = {"allow_plaintext": True, "allow_private": True}
        if kind == "aws_kms":
            keys = {"access_key_id": aws.KEY_ID, "secret_access_key": {"env": "AWS_SECRET"}}
            where = {"region": "eu-central-1", "url": service.url, "key": ARN, "encryption_context": {"stage": "test"}}
            self.model: dict[str, Any] = {**keys, **where, "dial": dial}
        else:
            where = {"name": NAME, "url": f"{service.url}/v1", "token_url": f"{service.url}/token"}
            self.model = {"key": {"file": str(folder / "account.json")}, **where, "dial": dial}

    def load(self, sealed: dict[str, str] | None = None, **over: Any) -> Loaded:
        model = {name: value for name, value in (self.model | over).items() if value is not None}
        document = {"version": 1, "vault": {"keys": [{"id": "k1", self.kind: model}]}, "sealed": sealed or {}}
        self.file.write_text(json.dumps(document))
        return load([self.file], environ={"AWS_SECRET": aws.SECRET})

    def sealed(self, *names: str) -> dict[str, str]:
        ring = self.load().vault.ring
        assert ring is not None
        return {name: ring.seal(entry(name), Secret(b"a value")) for name in names}


@pytest.fixture(scope="module")
def account() -> str:
    key = rsa.generate_private_key(65537, 2048)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = key.private_bytes(*form).decode()
    return json.dumps({"type": "service_account", "client_email": "gw@acme.test", "private_key_id": "k", "private_key": pem})


@pytest.fixture(params=["aws_kms", "gcp_kms"])
def written(request: pytest.FixtureRequest, tmp_path: Path, account: str) -> Iterator[Written]:
    (tmp_path / "account.json").write_text(account)
    (tmp_path / "account.json").chmod(0o600)
    at = Kms() if request.param == "aws_kms" else CloudKms()
    with serving(at) as service:
        yield Written(tmp_path, request.param, service, at)


def errors(loaded: Loaded) -> list[str]:
    return [problem.message for problem in loaded.errors]


def test_the_service_wraps_and_unwraps_and_never_sees_a_value(written: Written) -> None:
    loaded = written.load(written.sealed("bot", "other"))
    assert errors(loaded) == []
    assert loaded.vault("bot").current().reveal() == b"a value"
    assert all(b"a value" not in asked.body and b64(b"a value").encode() not in asked.body for asked in written.service.asked)


def test_one_token_serves_all_questions_of_a_load(written: Written) -> None:
    sealed = written.sealed("one", "two")
    before = getattr(written.at, "tokens", 0)
    assert errors(written.load(sealed)) == []
    assert getattr(written.at, "tokens", 0) - before in (0, 1)


async def test_it_is_asked_inside_an_event_loop_too(written: Written) -> None:
    assert errors(written.load(written.sealed("bot"))) == []


def test_what_was_sealed_for_another_place_does_not_open(written: Written) -> None:
    """The service itself refuses a data key whose text has another key id: it is bound to it."""
    parts = written.sealed("bot")["bot"].split(":")
    raw = bytearray(base64.urlsafe_b64decode(parts[3] + "=" * (-len(parts[3]) % 4)))
    raw[-1] ^= 1
    parts[3] = base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("=")
    loaded = written.load({"bot": ":".join(parts)})
    assert loaded.vault.refused == {"bot": Fault.ALTERED}
    assert "refuses it" in errors(loaded)[0]


ANSWERS: dict[str, Reply] = {
    "403": (403, {"__type": "AccessDeniedException", "message": f"denied: {aws.SECRET}", "error": {"message": TOKEN}}),
    "500": (500, b""),
    "a redirect": (307, b""),
    "no JSON": (200, b"<html>"),
    "other JSON": (200, ["x"]),
    "nothing": (200, {}),
    "no text": (200, {"KeyId": ARN, "CiphertextBlob": 7, "Plaintext": 7, "plaintext": 7, "ciphertext": 7, "name": 7}),
    "too long": (200, b" " * 40_000),
    "another key's": (
        200,
        {"KeyId": ARN[:-1] + "0", "Plaintext": b64(bytes(32)), **summed("plaintext", bytes(32)), "plaintextCrc32c": "1"},
    ),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_a_service_that_does_not_answer_well_refuses_the_configuration_and_is_never_quoted(written: Written, answer: Reply) -> None:
    sealed = written.sealed("one")
    written.at.instead = lambda action: answer
    written.service.extra = [("Location", "https://example.com/")]
    written.service.asked.clear()
    loaded = written.load(sealed)
    assert loaded.errors, "a damaged answer was taken"
    assert len([asked for asked in written.service.asked if asked.target != "/token"]) <= 2
    assert aws.SECRET not in str(loaded.problems)
    assert TOKEN not in str(loaded.problems)
    ring = loaded.vault.ring
    assert ring is not None
    with pytest.raises(DependencyDown):
        ring.seal(entry("x"), Secret(b"x"))


@pytest.mark.parametrize("plain", [b"", bytes(16), bytes(33)], ids=len)
def test_a_data_key_of_another_length_is_refused(written: Written, plain: bytes) -> None:
    sealed = written.sealed("bot")
    written.at.over = {"Plaintext": b64(plain)} if written.kind == "aws_kms" else summed("plaintext", plain)
    assert written.load(sealed).vault.refused == {"bot": Fault.ALTERED}


@pytest.mark.parametrize("plain", ["ключ" * 11, "!" * 44])
def test_a_data_key_that_is_no_base64_is_refused(written: Written, plain: str) -> None:
    sealed = written.sealed("bot")
    written.at.over = {"Plaintext" if written.kind == "aws_kms" else "plaintext": plain}
    loaded = written.load(sealed)
    assert loaded.errors
    assert loaded.vault.refused == ({"bot": Fault.ALTERED} if written.kind == "aws_kms" else {})


def test_a_service_that_is_gone_is_told(written: Written) -> None:
    sealed = written.sealed("bot")
    written.service.down = True
    assert errors(written.load(sealed))[0].startswith("cannot be opened now: 127.0.0.1")


def test_a_private_address_must_be_allowed(written: Written) -> None:
    sealed = written.sealed("bot")
    loaded = written.load(sealed, dial={"allow_plaintext": True})
    assert "`allow_private: true` allows private ones" in errors(loaded)[0]


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "plaintext": ("both", {"dial": {"allow_private": True}}, "the scheme must be https"),
    "the metadata service": (
        "both",
        {"url": "http://169.254.169.254", "dial": {"allow_plaintext": True, "allow_private": True}},
        "no address that may be dialled",
    ),
    "an alias": ("aws_kms", {"key": "alias/latchgate"}, "does not match"),
    "no keys": ("aws_kms", {"access_key_id": None, "secret_access_key": None}, "AWS keys are needed"),
    "a sealed key": ("aws_kms", {"secret_access_key": {"sealed": "bot"}}, "cannot be sealed itself"),
    "our own name": ("aws_kms", {"encryption_context": {"latchgate": "x"}}, "is the gateway's own"),
    "a version": ("gcp_kms", {"name": f"{NAME}/cryptoKeyVersions/1"}, "does not match"),
    "dots": ("gcp_kms", {"name": NAME.replace("acme", "..")}, "does not match"),
    "nobody": ("gcp_kms", {"key": None}, "exactly one of `key`"),
    "no key file": ("gcp_kms", {"key": {"env": "AWS_SECRET"}}, "the JSON key file of a service account is needed"),
}


@pytest.mark.parametrize(("kind", "over", "told"), WRONG.values(), ids=WRONG.keys())
def test_what_does_not_fit_is_told(written: Written, kind: str, over: dict[str, Any], told: str) -> None:
    sealed = written.sealed("bot")
    if kind in (written.kind, "both"):
        found = errors(written.load(sealed, **over))
        assert [message for message in found if told in message], found


def test_a_ciphertext_that_was_damaged_on_its_way_is_not_kept(written: Written) -> None:
    if written.kind == "gcp_kms":
        ring = written.load().vault.ring
        assert ring is not None
        for over in ({"verifiedPlaintextCrc32c": False}, {"ciphertextCrc32c": "1"}, {"name": f"{NAME}2/cryptoKeyVersions/1"}):
            written.at.over = over
            with pytest.raises(DependencyDown):
                ring.seal(entry("x"), Secret(b"x"))
