"""Requests signed with a shared secret, as webhooks are: a keyed hash over the body, byte for byte as it is forwarded.

What can be judged without the body is judged before it is read, and it is read under two caps, of one body and of all that are
not verified yet. A signature counts once.
"""

import asyncio
import base64
import binascii
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, final

from gateway.authn.issuers import Secrets, strong_secret
from gateway.authn.model import HmacCaller, issuer_of
from gateway.authn.strength import StrongSecret
from gateway.authn.unverified import Unverified
from gateway.core.errors import ConfigError, DependencyDown, Problem, Theft, Unauthenticated
from gateway.core.message import Request
from gateway.core.ports import CLOCKS, Clock, Grant, Once
from gateway.core.principal import Identity, Principal

SHORTEST: Final = 16
SIZES: Final = {"sha256": 32, "sha512": 64}
MOST: Final = 8
"""Signatures of one header field: senders send two while they rotate a secret."""
LONGEST: Final = 2048
SECONDS: Final = re.compile(rb"[0-9]{1,12}")
ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,256}")
"""Nothing that could stand between the id and what comes after it in the signed content."""
PLACEHOLDER: Final = re.compile(r"(\{[a-z]+\})")
WHSEC: Final = b"whsec_"
LARGE: Final = 256 * 1024
"""Bytes of a body that are hashed in a thread, so that nobody else waits for it: some milliseconds with four secrets."""
A_DAY: Final = 86400.0
"""How long a signature that says no time is remembered, unless the entry says otherwise."""


@final
class HmacVerifier:
    """Verifies what one configured sender signed."""

    def __init__(self, name: str, model: HmacCaller, secrets: Secrets, once: Once, clock: Clock, unverified: Unverified) -> None:
        """Raises ConfigError for secrets that are missing or weak."""
        place = f"authentication.hmac.{name}.secrets"
        self.header = model.header.lower().encode("ascii")
        self.identity = Identity(id=model.subject, issuer=name, scheme="hmac")
        self._name = name
        self._model = model
        self._secrets = [strong_secret(secrets, reference, place, SHORTEST) for reference in model.secrets]
        self._once = once
        self._now = clock.now
        self._prefix = model.prefix.encode("ascii")
        self._parts = [part for part in PLACEHOLDER.split(model.content) if part]
        stamp = model.timestamp
        self._tolerance = stamp.tolerance if stamp is not None else None
        self._stamp_header = stamp.header.lower().encode("ascii") if stamp is not None and stamp.header is not None else None
        self._stamp_prefix = stamp.prefix.encode("ascii") if stamp is not None and stamp.prefix is not None else None
        self._id_header = model.id.lower().encode("ascii") if model.id is not None else None
        self._unverified = unverified
        accepted = 0.0 if self._tolerance is None else 2 * self._tolerance + CLOCKS
        asked = A_DAY if self._tolerance is None else accepted
        self._remembered = asked if model.replay is None else max(model.replay, accepted) if model.replay else 0.0
        try:
            list(self._keys())
        except DependencyDown as error:
            raise ConfigError([Problem("", 0, 0, place, error.detail)]) from error

    async def verify(self, request: Request, value: bytes) -> None:
        """Raises Unauthenticated, BadRequest as reading a body does, Unavailable where too much is read, or DependencyDown."""
        items = self._items(value)
        macs = self._macs(items)
        stamp, id = self._stamp(request, items), self._field(request, self._id_header)
        if self._id_header is not None and not ID.fullmatch(id):
            raise self._refused("an id that could be read in two ways")
        with self._unverified.taken(request.head.client, request.body.length, self._model.max_body):
            body = await request.body.read(self._model.max_body)
            content, keys = self._content(request, stamp, id, body), list(self._keys())
            if len(body) > LARGE:
                matched = await asyncio.to_thread(self._matched, keys, content, macs)
            else:
                matched = self._matched(keys, content, macs)
        if not matched:
            raise self._refused("no secret verifies the signature")
        # Keyed by the hash, not by how it was written: the same one in upper case, or after another, is the same.
        if self._remembered and not await self._once.first(
            f"hmac:{len(self._name)}:{self._name}:{matched.hex()}", self._remembered
        ):
            replayed = self._refused("the signature was used before", genuine=True)
            replayed.theft = Theft("token.replayed", self._name, self.identity.id)
            raise replayed

    def _matched(self, keys: Sequence[bytes], content: Sequence[bytes], macs: Sequence[bytes]) -> bytes:
        """The signature that one of the secrets makes; empty where none does. Looks at all of them."""
        matched = b""
        for key in keys:
            made = hmac.new(key, digestmod=self._model.algorithm)
            for part in content:
                made.update(part)
            expected = made.digest()
            for mac in macs:
                if hmac.compare_digest(mac, expected):
                    matched = expected
        return matched

    def _items(self, value: bytes) -> list[bytes]:
        if len(value) > LONGEST:
            raise self._refused("a signature too long")
        separator = self._model.separator
        return [value] if separator is None else [item.strip(b" ") for item in value.split(separator.encode("ascii"))]

    def _macs(self, items: list[bytes]) -> list[bytes]:
        """The signatures of the configured kind; others, say of an older version, do not count."""
        texts = [item[len(self._prefix) :] for item in items if item.startswith(self._prefix)]
        if not 0 < len(texts) <= MOST:
            raise self._refused("no signature of the configured kind" if not texts else "too many signatures")
        macs = [self._decoded(text) for text in texts]
        if any(len(mac) != SIZES[self._model.algorithm] for mac in macs):
            raise self._refused("a signature of another length")
        return macs

    def _decoded(self, text: bytes) -> bytes:
        try:
            return binascii.unhexlify(text) if self._model.encoding == "hex" else base64.b64decode(text, validate=True)
        except binascii.Error:
            raise self._refused(f"a signature that is not {self._model.encoding}") from None

    def _stamp(self, request: Request, items: list[bytes]) -> bytes:
        """When the sender says that he signed, in Unix seconds; what he says must be near now."""
        if self._tolerance is None:
            return b""
        if self._stamp_prefix is not None:
            prefix = self._stamp_prefix
            found = [item[len(prefix) :] for item in items if item.startswith(prefix)]
            stamp = found[0] if len(found) == 1 else b""
        else:
            stamp = self._field(request, self._stamp_header)
        if not SECONDS.fullmatch(stamp):
            raise self._refused("no time, or none in Unix seconds")
        if abs(self._now() - int(stamp)) > self._tolerance:
            raise self._refused("signed too long ago, or ahead of time")
        return stamp

    def _field(self, request: Request, name: bytes | None) -> bytes:
        """A header field that is signed: exactly one."""
        if name is None:
            return b""
        value = request.head.fields.get(name, b"")
        if not value or name in request.head.repeated:
            raise self._refused(f"{name.decode()} is missing or repeated")
        return value

    def _content(self, request: Request, stamp: bytes, id: bytes, body: bytes) -> list[bytes]:
        """What is signed, in parts: a large body is not copied."""
        target = request.path.encode("ascii") + (b"" if request.query is None else b"?" + request.query)
        values = {"{body}": body, "{timestamp}": stamp, "{id}": id, "{method}": request.method.encode("ascii"), "{target}": target}
        return [values[part] if part in values else part.encode("ascii") for part in self._parts]

    def _keys(self) -> Iterator[bytes]:
        """Raises DependencyDown for a secret that is gone, too weak, or not what `key` says."""
        for secret in self._secrets:
            yield secret.current() if self._model.key == "text" else _plain(secret)

    def _refused(self, why: str, *, genuine: bool = False) -> Unauthenticated:
        return Unauthenticated(f"hmac {self._name}: {why}", genuine=genuine)


@final
class Signed:
    """The sender of signed requests as a principal, under one policy."""

    def __init__(self, verifier: HmacVerifier, grant: Grant, clock: Clock) -> None:
        self._verifier = verifier
        self._grant = grant
        self._now = clock.now
        self._principal = grant(verifier.identity)

    async def authenticate(self, request: Request, value: bytes) -> Principal:
        """Who signed this request. Raises as `HmacVerifier.verify` does."""
        await self._verifier.verify(request, value)
        expires = self._principal.expires
        if expires is not None and expires <= self._now():
            self._principal = self._grant(self._verifier.identity)
        return self._principal


def senders(models: Mapping[str, HmacCaller], secrets: Secrets, once: Once, clock: Clock) -> dict[str, HmacVerifier]:
    """The configured senders by name. Raises ConfigError with every problem found."""
    found, problems, unverified = {}, list[Problem](), Unverified()
    for name, model in models.items():
        try:
            found[name] = HmacVerifier(name, model, secrets, once, clock, unverified)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return found


def signed(senders: Mapping[str, HmacVerifier], accepted: Sequence[str], grant: Grant, clock: Clock) -> dict[bytes, Signed]:
    """The accepted senders by the header field of their signatures. Raises ConfigError for two that have the same."""
    found = [senders[issuer_of(name)] for name in accepted if name.startswith("hmac.")]
    if len({sender.header for sender in found}) < len(found):
        wrong = "accepts two senders whose signatures come in the same header field"
        raise ConfigError([Problem("", 0, 0, "authenticate", wrong)])
    return {sender.header: Signed(sender, grant, clock) for sender in found}


def _plain(secret: StrongSecret) -> bytes:
    """A key that is written in base64, mostly after `whsec_` (Standard Webhooks)."""
    try:
        return base64.b64decode(secret.current().removeprefix(WHSEC), validate=True)
    except binascii.Error:
        raise DependencyDown(f"{secret.name}: the secret is not base64, though `key: base64` says so") from None
