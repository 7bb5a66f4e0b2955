"""Whose keys sign: said once, whole, and only as long as they count."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.credentials.injectors import build
from gateway.credentials.model import Credential
from gateway.credentials.sigv4_keys import ProcessKeys, StaticKeys, keys_of
from tests.minting import workshop

NOW = 1_790_000_000.0


class Source:
    """A secret that tests can replace."""

    def __init__(self, value: bytes, name: str = "env:TEST") -> None:
        self.name = name
        self.secret = Secret(value)

    def current(self) -> Secret:
        return self.secret


def document(**over: Any) -> bytes:
    return json.dumps({"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "canary-secret", **over}).encode()


def test_static_keys_are_the_same_object_until_one_of_their_secrets_changes() -> None:
    secret, token = Source(b"one"), Source(b"token")
    keys = StaticKeys("AKID", secret, token)
    first = keys.current(NOW)
    assert (first.id, first.secret.reveal(), first.token) == (b"AKID", b"one", b"token")
    assert keys.current(NOW) is first
    token.secret = Secret(b"token2")
    second = keys.current(NOW)
    assert second is not first
    assert second.token == b"token2"


def test_a_session_token_that_breaks_a_line_is_an_outage_and_not_told() -> None:
    with pytest.raises(DependencyDown) as caught:
        StaticKeys("AKID", Source(b"one"), Source(b"canary\r\nx: y")).current(NOW)
    assert "canary" not in caught.value.detail


@pytest.mark.parametrize("text", [document(), json.dumps({"Credentials": json.loads(document())}).encode()])
def test_keys_are_read_as_the_tools_of_aws_print_them(text: bytes) -> None:
    keys = keys_of(text)
    assert (keys.id, keys.secret.reveal(), keys.token, keys.expires) == (b"AKID", b"canary-secret", b"", None)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (b"canary-secret", "not a JSON document"),
        (b"[]", "not a JSON object"),
        (b"[" * 100_000, "not a JSON document"),
        (b'{"AccessKeyId":"a","AccessKeyId":"b","SecretAccessKey":"c"}', "not a JSON document"),
        (document(AccessKeyId=""), "no AccessKeyId"),
        (document(SecretAccessKey=5), "no SecretAccessKey"),
        (document(SecretAccessKey="a\nb"), "no SecretAccessKey"),
        (document(SessionToken={"a": 1}), "no SessionToken"),
        (document(Expiration="2026-01-01T00:00:00"), "with a zone"),
        (document(Expiration="tomorrow"), "with a zone"),
        (document(Expiration=5), "with a zone"),
    ],
)
def test_a_document_that_is_none_is_refused_without_its_content(text: bytes, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong) as caught:
        keys_of(text)
    assert "canary" not in str(caught.value)
    with pytest.raises(DependencyDown, match=wrong):
        ProcessKeys(Source(text)).current(NOW)


def test_expired_keys_are_not_used_and_new_ones_are() -> None:
    source = Source(document(Expiration="2026-09-21T14:13:20Z"))
    keys = ProcessKeys(source)
    assert keys.current(NOW - 1).id == b"AKID"
    with pytest.raises(DependencyDown, match="have expired"):
        keys.current(NOW)
    source.secret = Secret(document(AccessKeyId="NEW", Expiration="2026-09-22T14:13:20+02:00"))
    assert keys.current(NOW).id == b"NEW"


ENV = {"env": "TEST"}


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        ({}, "AWS keys are needed"),
        ({"access_key_id": "a"}, "AWS keys are needed"),
        ({"secret_access_key": ENV}, "AWS keys are needed"),
        ({"keys": ENV, "access_key_id": "a"}, "stands for all of them"),
        ({"keys": ENV, "session_token": ENV}, "stands for all of them"),
        ({"access_key_id": "a", "secret_access_key": ENV, "service": "sqs", "unsigned_payload": True}, "Amazon S3 only"),
        ({"keys": ENV}, "env:TEST: it is not a JSON document"),
    ],
)
def test_a_credential_that_cannot_sign_is_refused_at_load(keys: dict[str, Any], wrong: str) -> None:
    model = TypeAdapter[Any](Credential).validate_python({"inject": "sigv4", "region": "eu-west-1", "service": "s3", **keys})
    with pytest.raises(ValueError, match=wrong):
        build("aws", model, workshop(lambda _: Source(b"canary")))


def test_a_session_token_is_judged_at_load() -> None:
    keys = {"access_key_id": "a", "secret_access_key": ENV, "session_token": {"env": "TOKEN"}}
    model = TypeAdapter[Any](Credential).validate_python({"inject": "sigv4", "region": "eu-west-1", "service": "s3", **keys})
    with pytest.raises(ValueError, match="it is empty or holds"):
        build("aws", model, workshop(lambda reference: Source(b"a b", str(reference))))
