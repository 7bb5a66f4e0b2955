"""Who signed a request, by HTTP message signatures (RFC 9421).

The head is judged first and the signature over it verified; only then is the body read, and held against the digest that was
signed. A signature counts once: what is remembered is what was signed, since some signatures can be written in two ways.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

from gateway.authn.issuers import Secrets, published_keys
from gateway.authn.jwks import PublishedKeys
from gateway.authn.model import issuer_of
from gateway.authn.recent import Recent
from gateway.authn.signatures import digest
from gateway.authn.signatures.base import base, covers
from gateway.authn.signatures.keys import ListedSigners, PublishedSigners, Signers
from gateway.authn.signatures.model import Signatures as Model
from gateway.authn.unverified import Unverified
from gateway.core import structured
from gateway.core.errors import ConfigError, DependencyDown, Problem, Theft, Unauthenticated
from gateway.core.message import Request
from gateway.core.ports import CLOCKS, Clock, Fetch, Grant, Metrics, Once
from gateway.core.principal import Identity, Principal
from gateway.core.reason import Reason
from gateway.core.structured import InnerList
from gateway.core.upgrade import asks_websocket

INPUT: Final = b"signature-input"
"""The field that says what was signed: a request that has it presents a signature."""
SIGNATURES: Final = b"signature"
DIGEST: Final = b"content-digest"
LONGEST: Final = 8192
"""Bytes of either field."""
MOST: Final = 8
"""Signatures of one request: proxies on the way add theirs."""
PIECES: Final = 600
"""Components and parameters of either field, as counted by the signs between them: strangers have it taken apart."""
LARGE: Final = 256 * 1024
"""Bytes of a body that are hashed in a thread, so that nobody else waits for it."""
ELSEWHERE: Final = 4
"""Keys of that id at entries that a route does not have, by which a failed signature is tried: strangers have it done."""
REMEMBERED: Final = 1024
TARGETS: Final = (
    frozenset({"@target-uri"}),
    frozenset({"@authority", "@path", "@query"}),
    frozenset({"@authority", "@request-target"}),
)
"""Any of which says where a request goes, whole."""


@final
class Verifier:
    """Verifies what the callers of one entry signed."""

    def __init__(self, name: str, model: Model, signers: Signers, once: Once, clock: Clock, unverified: Unverified) -> None:
        self.name = name
        self.tag = model.tag
        self._model = model
        self.signers = signers
        self._once = once
        self._now = clock.now
        self._unverified = unverified
        self._required = frozenset({"@method", *model.components})

    async def verify(self, request: Request, covered: InnerList, signature: bytes) -> tuple[str, str]:
        """(subject, key id) of whoever signed. Raises Unauthenticated, BadRequest as reading a body does, Unavailable where
        too much is read, or DependencyDown."""
        keyid = covered[1].get("keyid")
        self._judge_times(covered[1])
        self._judge_coverage(request, covered)
        signer = await self.signers.find(keyid) if type(keyid) is str else None
        if signer is None or type(keyid) is not str:
            raise self._refused("no key of that id")
        if covered[1].get("alg", signer.algorithm) != signer.algorithm:
            raise self._refused("`alg` is not what the key is for")
        try:
            signed = base(request, covered)
            digests = digest.stated(_joined(request, DIGEST)) if "content-digest" in covers(covered) else None
        except ValueError as error:
            raise self._refused(str(error)) from error
        if not signer.signed(signed, signature):
            raise self._refused("the signature does not verify")
        use = self._use(keyid, signed)
        if digests is not None:
            if use and await self._once.used(use):  # a head that was captured has no body read
                raise self._replayed()
            await self._judge_body(request, digests, keyid)
        if use and not await self._once.first(use, self._model.max_age + self._model.leeway + CLOCKS):
            raise self._replayed()
        return signer.subject, keyid

    def _judge_times(self, stated: structured.Parameters) -> None:
        created, expires, now = stated.get("created"), stated.get("expires"), self._now()
        if type(created) is not int or (expires is not None and type(expires) is not int):
            raise self._refused("`created` is missing, or a time is no integer")
        if created > now + self._model.leeway:
            raise self._refused("created in the future")
        if created < now - self._model.max_age or (expires is not None and expires <= now):
            raise self._refused("expired", reason=Reason.CREDENTIAL_EXPIRED)

    def _judge_coverage(self, request: Request, covered: InnerList) -> None:
        """What is not signed can be changed: the method, the target and the body always are."""
        names = covers(covered)
        missing = self._required - names
        if request.body.length != 0 and "content-digest" not in names:
            missing |= {"content-digest"}
        if asks_websocket(request.head) and "upgrade" not in names:
            missing |= {"upgrade"}
        if not any(names >= target for target in TARGETS):
            missing |= {"@target-uri"}
        if missing:
            raise self._refused(f"does not cover {', '.join(sorted(missing))}")

    async def _judge_body(self, request: Request, digests: dict[str, bytes], keyid: str) -> None:
        with self._unverified.taken(request.head.client, request.body.length, self._model.max_body, f"{self.name}:{keyid}"):
            body = await request.body.read(self._model.max_body)
            fits = await asyncio.to_thread(digest.fits, digests, body) if len(body) > LARGE else digest.fits(digests, body)
        if not fits:
            raise self._refused("the body is not the one that Content-Digest vouches for")

    def _use(self, keyid: str, signed: bytes) -> str:
        """What is remembered of a use: what was signed, since ECDSA has two signatures for it; apart for each entry, so that nobody
        fills the memory of another's callers. Empty where nothing is."""
        if self._model.replay == "allow":
            return ""
        return f"signature.{self.name}:{hashlib.sha256(b'%d:%s:%s' % (len(keyid), keyid.encode('ascii'), signed)).hexdigest()}"

    def _replayed(self) -> Unauthenticated:
        replayed = self._refused("the signature was used before", genuine=True)
        replayed.theft = Theft("token.replayed", self.name)
        return replayed

    def _refused(self, why: str, *, reason: Reason | None = None, genuine: bool = False) -> Unauthenticated:
        return Unauthenticated(f"signature {self.name}: {why}", reason=reason, genuine=genuine)


@final
class Accepted:
    """Whoever signs requests as one of a route's entries has it, as a principal under one policy."""

    def __init__(self, verifiers: Sequence[Verifier], others: Sequence[Verifier], grant: Grant, clock: Clock) -> None:
        """`others` are those that the route does not have. Raises ConfigError for two between which a request does not choose."""
        self._by_tag = {verifier.tag: verifier for verifier in verifiers}
        if len(self._by_tag) < len(verifiers):
            wrong = "accepts two entries of signatures with the same `tag`, or without any: give each its own"
            raise ConfigError([Problem("", 0, 0, "authenticate", wrong)])
        self._others = others
        self._grant = grant
        self._now = clock.now
        self._known: Recent[tuple[str, str, str], Principal] = Recent(REMEMBERED)

    async def authenticate(self, request: Request, value: bytes) -> Principal:
        """Who signed this request, by the one signature that counts. Raises as `Verifier.verify` does."""
        try:
            verifier, covered, signature = self._chosen(request, value)
        except ValueError as error:
            raise Unauthenticated(f"signature: {error}") from error
        try:
            subject, keyid = await verifier.verify(request, covered, signature)
        except Unauthenticated as error:
            error.genuine = error.genuine or await self._is_known_elsewhere(request, covered, signature)
            raise
        key = verifier.name, keyid, subject
        principal = self._known.get(key)
        if principal is None or (principal.expires is not None and principal.expires <= self._now()):
            principal = self._grant(Identity(id=subject, issuer=verifier.name, scheme="signature", credential_id=keyid))
            self._known.put(key, principal)
        return principal

    async def _is_known_elsewhere(self, request: Request, covered: InnerList, signature: bytes) -> bool:
        """Whether a caller of an entry that the route does not have signed this: whoever has a key guesses nothing."""
        keyid, tag = covered[1].get("keyid"), covered[1].get("tag")
        others = [other.signers for other in self._others if type(keyid) is str and other.tag in (None, tag)]
        try:
            found = [signer for signers in others if (signer := await signers.find(str(keyid))) is not None]
            signed = base(request, covered) if found else b""
        except (ValueError, DependencyDown):
            return False
        return any(signer.signed(signed, signature) for signer in found[:ELSEWHERE])

    def _chosen(self, request: Request, value: bytes) -> tuple[Verifier, InnerList, bytes]:
        """RFC 9421 3.2: labels mean nothing; of several signatures the one with a configured `tag` counts. Raises ValueError,
        or Unauthenticated where none is for the route."""
        inputs, signatures = _fields(value), _fields(request.head.fields.get(SIGNATURES, b""))
        found: list[tuple[Verifier, InnerList, bytes]] = []
        for label, (items, parameters) in inputs.items():
            tag = parameters.get("tag")
            verifier = self._by_tag.get(tag if isinstance(tag, str) else None) or self._by_tag.get(None)
            if verifier is None:
                continue
            signature = signatures.get(label, (None,))[0]
            if not isinstance(items, list) or not isinstance(signature, bytes):
                raise ValueError("no list of components, or no signature of the same label")
            found.append((verifier, (items, parameters), signature))
        if not found:  # others' signatures are no credential here, and nobody's guess
            raise Unauthenticated("signature: none that counts here", reason=Reason.CREDENTIAL_MISSING)
        if len(found) > 1:
            raise ValueError("several that would count: `tag` says which does")
        return found[0]


@final
class Verifiers:
    """Everybody who may sign, by the names of their entries, and the key sets of those that publish them."""

    def __init__(
        self,
        models: Mapping[str, Model],
        secrets: Secrets,
        fetch: Fetch,
        once: Once,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """Reads files and judges keys, fetches nothing. Raises ConfigError with every problem found."""
        self._published: dict[str, PublishedKeys] = {}
        self._verifiers: dict[str, Verifier] = {}
        problems, unverified = list[Problem](), Unverified()
        for name, model in models.items():
            place = f"authentication.signatures.{name}"
            try:
                if model.jwks is None:
                    signers: Signers = ListedSigners(place, model.keys, secrets)
                else:
                    keys = self._published[name] = published_keys(f"signatures.{name}", model.jwks, fetch, clock, metrics, secrets)
                    signers = PublishedSigners(keys, list(model.algorithms), model.subject)
                self._verifiers[name] = Verifier(name, model, signers, once, clock, unverified)
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)

    @property
    def header(self) -> tuple[bytes, ...]:
        """The field in which a signature is presented, where anybody signs."""
        return (INPUT,) if self._verifiers else ()

    def accepted(self, names: Sequence[str], grant: Grant, clock: Clock) -> dict[bytes, Accepted]:
        """Who may sign for a route, by the field in which they do. Raises ConfigError."""
        found = [self._verifiers[issuer_of(name)] for name in names if name.startswith("signatures.")]
        others = [verifier for verifier in self._verifiers.values() if verifier not in found]
        return {INPUT: Accepted(found, others, grant, clock)} if found else {}

    def start(self) -> None:
        """Begin to keep keys fresh."""
        for keys in self._published.values():
            keys.start()

    async def close(self) -> None:
        """End all background work."""
        for keys in self._published.values():
            await keys.close()

    def status(self) -> dict[str, Any]:
        """For the operators' page: each entry's key set."""
        return {f"signatures.{name}": keys.status() for name, keys in self._published.items()}


def _fields(value: bytes) -> dict[str, structured.Member]:
    """A field of labels. Raises ValueError for what is none, too long, too many, or names something twice."""
    if len(value) > LONGEST:
        raise ValueError("a field too long")
    if sum(map(value.count, (b" ", b",", b";"))) > PIECES:
        raise ValueError("too many components or parameters")
    found = structured.dictionary(value.decode("ascii"), once=True)
    if not 0 < len(found) <= MOST:
        raise ValueError("no signature" if not found else "too many signatures")
    return found


def _joined(request: Request, name: bytes) -> str:
    return b", ".join(value for key, value in request.head.headers if key == name).decode("ascii")
