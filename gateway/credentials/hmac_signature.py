"""Signs requests with a shared key over a content that the configuration writes out (HMAC, RFC 2104)."""

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256, sha512
from secrets import token_hex
from typing import Final, Protocol

from gateway.config.values import SecretRef
from gateway.core.decision import Permit
from gateway.core.echoes import Echoes
from gateway.core.errors import BadRequest
from gateway.core.message import Outbound, lines
from gateway.core.ports import SecretSource
from gateway.core.reason import Reason
from gateway.credentials import model
from gateway.credentials.placed import Form, Placed
from gateway.credentials.template import Template
from gateway.scrub.needles import Needles

FIELD_WORDS: Final = frozenset({"signature", "timestamp", "nonce", "body_sha256", "body_sha512"})
"""What may stand in a header field: nothing that the client writes."""
WORDS: Final = (FIELD_WORDS - {"signature"}) | {"method", "host", "path", "query", "target", "body"}
"""What may be signed."""
OF_BODY: Final = frozenset({"body", "body_sha256", "body_sha512"})
SHORTEST: Final = 16
"""Bytes of a key: half of what RFC 2104 3 advises, because it is the other side's choice."""


class Signed(Protocol):
    """What a signature is made of and put into: an Outbound, or a question of the gateway's own."""

    method: str
    authority: bytes
    target: bytes
    lines: list[bytes]
    secrets: tuple[Echoes, ...]


class Sent:
    """What of one request may be put into a template."""

    __slots__ = ("_body", "_outbound", "_timestamp", "nonce", "signature")

    def __init__(self, outbound: Signed, body: bytes, timestamp: bytes, nonce: bytes) -> None:
        self._outbound = outbound
        self._body = body
        self._timestamp = timestamp
        self.nonce = nonce
        self.signature = b""

    def __call__(self, word: str) -> bytes:
        """The value of a word. The path and the query are those that stand on the wire."""
        match word:
            case "method":
                return self._outbound.method.encode("ascii")
            case "host":
                return self._outbound.authority
            case "target":
                return self._outbound.target
            case "path":
                return self._outbound.target.partition(b"?")[0]
            case "query":
                return self._outbound.target.partition(b"?")[2]
            case "timestamp":
                return self._timestamp
            case "body":
                return self._body
            case "body_sha256":
                return sha256(self._body).hexdigest().encode("ascii")
            case "body_sha512":
                return sha512(self._body).hexdigest().encode("ascii")
            case "nonce":
                return self.nonce
            case _:
                return self.signature


class HmacInjector:
    """Sets the header fields of its templates, one of which carries the signature."""

    def __init__(self, name: str, configured: model.Hmac, source: SecretSource, now: Callable[[], float]) -> None:
        """Raises ValueError for templates that say nothing, or something that is not to be had."""
        self.name: str | None = name
        self._content = _content(configured.content)
        self._fields = {field.lower().encode("ascii"): _field(field, text) for field, text in configured.headers.items()}
        self.sets: frozenset[bytes] = frozenset(self._fields)
        if len(self._fields) != len(configured.headers):
            raise ValueError("headers: a name is there twice")
        if not any("signature" in template.words for template in self._fields.values()):
            raise ValueError("headers: one of them must carry {signature}")
        used = self._content.words.union(*(template.words for template in self._fields.values()))
        self._reads = not used.isdisjoint(OF_BODY)
        self._buffer = configured.buffer
        self._algorithm = configured.algorithm
        self._written = ENCODINGS[configured.encoding]
        self._moment = TIMESTAMPS[configured.timestamp]
        self._key = Placed(source, KEYS[configured.key_encoding])
        self._now = now

    def inject(self, outbound: Outbound, permit: Permit) -> Awaitable[None] | None:
        """Raises DependencyDown without a usable key, BadRequest for a body too large to be signed."""
        self._key.refresh()  # where there is none, the request is left as it is
        body = outbound.body
        if self._reads and body.length != 0 and body.whole is None:
            return self._with_body(outbound)
        self.sign(outbound, body.whole or b"")
        return None

    async def _with_body(self, outbound: Outbound) -> None:
        body = outbound.body
        detail = f"{self.name}: a body of more than {self._buffer} bytes is not signed: raise `buffer`"
        if body.length is not None and body.length > self._buffer:
            raise BadRequest(detail, reason=Reason.BODY_TOO_LARGE, close=True)
        try:
            content = await body.read(self._buffer)
        except BadRequest as error:
            if error.reason is Reason.BODY_TOO_LARGE:
                raise BadRequest(detail, reason=Reason.BODY_TOO_LARGE, close=True) from error
            raise
        self.sign(outbound, content)

    def sign(self, outbound: Signed, body: bytes) -> None:
        """Raises DependencyDown without a usable key."""
        key = self._key.refresh()
        sent = Sent(outbound, body, self._moment(self._now()), token_hex(16).encode("ascii"))
        sent.signature = self._written(hmac.digest(key, self._content.render(sent), self._algorithm))
        outbound.lines.append(lines((name, template.render(sent)) for name, template in self._fields.items()))
        outbound.secrets += (Needles(sent.signature, once=True),)


def build(
    name: str, configured: model.Hmac, secrets: Callable[[SecretRef], SecretSource], now: Callable[[], float]
) -> HmacInjector:
    """Raises ValueError for what cannot sign."""
    source = secrets(configured.secret)
    try:
        KEYS[configured.key_encoding](source.current().reveal())
    except ValueError as error:
        raise ValueError(f"{source.name}: {error}") from None
    return HmacInjector(name, configured, source, now)


def _content(text: str) -> Template:
    try:
        template = Template(text, WORDS)
    except ValueError as error:
        raise ValueError(f"content: {error}") from None
    if template.words.isdisjoint({"path", "target", *OF_BODY}):
        raise ValueError(
            "content: a signature over neither the path nor the body fits every request: add {target} or {body_sha256}"
        )
    return template


def _field(name: str, text: str) -> Template:
    if not text.isascii() or not text.isprintable() or text != text.strip():
        raise ValueError(f"headers.{name}: use printable ASCII without blanks at the ends")
    try:
        return Template(text, FIELD_WORDS)
    except ValueError as error:
        raise ValueError(f"headers.{name}: {error}") from None


def _strong(key: bytes) -> bytes:
    if len(key) < SHORTEST:
        raise ValueError(f"the key is shorter than {SHORTEST} bytes")
    return key


def _from_hex(raw: bytes) -> bytes:
    try:
        return _strong(binascii.unhexlify(raw))
    except binascii.Error:
        raise ValueError("the key is not hexadecimal") from None


def _from_base64(raw: bytes) -> bytes:
    try:
        return _strong(base64.b64decode(raw, validate=True))
    except binascii.Error:
        raise ValueError("the key is not base64") from None


def _rfc3339(now: float) -> bytes:
    return datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode("ascii")


KEYS: Final[Mapping[str, Form]] = {"text": _strong, "hex": _from_hex, "base64": _from_base64}
ENCODINGS: Final[Mapping[str, Form]] = {
    "hex": lambda digest: digest.hex().encode("ascii"),
    "base64": base64.b64encode,
    "base64url": lambda digest: base64.urlsafe_b64encode(digest).rstrip(b"="),
}
TIMESTAMPS: Final[Mapping[str, Callable[[float], bytes]]] = {
    "seconds": lambda now: b"%d" % int(now),
    "milliseconds": lambda now: b"%d" % int(now * 1000),
    "rfc3339": _rfc3339,
}
