"""Whose AWS keys sign: static ones, or temporary ones from a file that something else keeps fresh."""

from datetime import datetime
from typing import Any, Protocol

from gateway.core.errors import DependencyDown
from gateway.core.ports import SecretSource
from gateway.core.secret import Secret
from gateway.core.strict_json import parse
from gateway.scrub.needles import Needles


class AwsKeys:
    """One set of keys. `token` is b"" for those that are not temporary; `expires` is a Unix time or None."""

    __slots__ = ("echoes", "expires", "id", "secret", "token")

    def __init__(self, id: bytes, secret: Secret, token: bytes = b"", expires: float | None = None) -> None:
        self.id = id
        self.secret = secret
        self.token = token
        self.echoes = (Needles(token),) if token else ()
        self.expires = expires


class KeySource(Protocol):
    """Where keys come from. The same object comes again until the keys are others."""

    def current(self, now: float) -> AwsKeys:
        """The keys at `now`, Unix time. Raises DependencyDown when there are none that count."""
        ...


class StaticKeys:
    """A key id of the configuration, its secret, and a session token where the keys are temporary."""

    def __init__(self, id: str, secret: SecretSource, token: SecretSource | None) -> None:
        self._id = id.encode("ascii")
        self._secret = secret
        self._token = token
        self._seen: tuple[Secret, Secret | None] | None = None
        self._keys: AwsKeys | None = None

    def current(self, now: float) -> AwsKeys:
        seen = self._secret.current(), self._token.current() if self._token is not None else None
        if self._keys is None or self._seen is None or seen[0] is not self._seen[0] or seen[1] is not self._seen[1]:
            self._keys, self._seen = AwsKeys(self._id, seen[0], self._printable(seen[1])), seen
        return self._keys

    def _printable(self, token: Secret | None) -> bytes:
        try:
            return b"" if token is None else printable(token.reveal())
        except ValueError as error:
            raise DependencyDown(f"the session token beside {self._secret.name}: {error}") from error


class ProcessKeys:
    """Keys in the form that AWS tools print and read as `credential_process`: one JSON document, replaced as a whole.

    `{"Version": 1, "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"}`, also within `Credentials`, as
    `aws sts assume-role` prints it.
    """

    def __init__(self, source: SecretSource) -> None:
        self._source = source
        self._seen: Secret | None = None
        self._keys: AwsKeys | None = None

    def current(self, now: float) -> AwsKeys:
        seen = self._source.current()
        if self._keys is None or seen is not self._seen:
            try:
                self._keys = keys_of(seen.reveal())
            except ValueError as error:
                raise DependencyDown(f"{self._source.name}: {error}") from None
            self._seen = seen
        if self._keys.expires is not None and self._keys.expires <= now:
            raise DependencyDown(f"{self._source.name}: the AWS keys have expired; whatever writes them must write new ones")
        return self._keys


def keys_of(text: bytes) -> AwsKeys:
    """Raises ValueError, which never tells what stands there."""
    try:
        document = parse(text)
    except (ValueError, RecursionError):
        raise ValueError("it is not a JSON document") from None
    if isinstance(document, dict) and isinstance(document.get("Credentials"), dict):
        document = document["Credentials"]
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    id, secret = _text(document, "AccessKeyId"), _text(document, "SecretAccessKey")
    token = _text(document, "SessionToken") if document.get("SessionToken") else b""
    return AwsKeys(id, Secret(secret), token, _expiration(document.get("Expiration")))


def printable(value: bytes) -> bytes:
    """What may stand in a header field. Raises ValueError without naming its bytes."""
    if not value or any(octet < 0x21 or octet >= 0x7F for octet in value):
        raise ValueError("it is empty or holds characters that a header field cannot carry")
    return value


def _text(document: dict[str, Any], name: str) -> bytes:
    value = document.get(name)
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(f"it has no {name}")
    return value.encode("ascii")


def _expiration(value: object) -> float | None:
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ValueError("its Expiration is no time with a zone, like 2026-11-22T18:00:00Z")
    return found.timestamp()
