"""The injector `captured_keys`: what a client signed with placeholders is signed anew with the keys they stand for, or refused."""

from collections.abc import AsyncIterator, Awaitable
from hashlib import sha256
from typing import Final, final

from gateway.core.decision import Permit
from gateway.core.errors import BadRequest, Ungranted
from gateway.core.message import Body, Head, Outbound
from gateway.core.placeholders import KEY_ID, SIGV4_CREDENTIAL
from gateway.core.principal import ANONYMOUS
from gateway.core.reason import Reason
from gateway.credentials.captured import keys
from gateway.credentials.captured.keys import Held
from gateway.credentials.captured.model import CapturedKeys
from gateway.credentials.captured.signed import Claim, claimed, verify
from gateway.credentials.captured.used import Opened, Refused, Used, refusal
from gateway.credentials.sigv4_chunks import gathered
from gateway.credentials.sigv4_injector import SETS, SigV4Injector
from gateway.credentials.sigv4_keys import AwsKeys

TOKEN: Final = b"x-amz-security-token"
PAYLOAD: Final = b"x-amz-content-sha256"
HASH_SIGNS: Final = 64


@final
class Spent:
    """Keys in use, and who signs with them, by region and service. Implements `sigv4_keys.KeySource`."""

    __slots__ = ("held", "signers")

    def __init__(self, held: Held) -> None:
        self.held = held
        self.signers: dict[tuple[bytes, bytes], SigV4Injector] = {}

    def current(self, now: float) -> AwsKeys:
        return self.held.keys


@final
class CapturedKeysInjector:
    """Signs for the region and service that the client signed for, where the configuration has both.

    A request without placeholders has no credential (Ungranted, so that a plan goes on); one with bad ones is refused for good.
    """

    def __init__(self, name: str, model: CapturedKeys, used: Used) -> None:
        self.name: str | None = name
        self.sets: frozenset[bytes] = SETS
        self.once = True
        self._name = name
        self._regions = frozenset(region.encode("ascii") for region in model.regions)
        self._services = frozenset(service.encode("ascii") for service in model.services)
        self._buffer = model.buffer
        self._used = used
        self._opened: Opened[Spent] = Opened(used.clock, model.issued_after)

    def inject(self, outbound: Outbound, permit: Permit) -> Awaitable[str | None]:
        """Raises Ungranted where none were sent, Forbidden for those that cannot be spent, DependencyDown, and BadRequest for a
        body that cannot be signed.
        """
        fields = permit.access.request.head.fields
        has_none = TOKEN not in fields and not fields.get(b"authorization", b"").startswith(SIGV4_CREDENTIAL + KEY_ID)
        if has_none or permit.principal.scheme == ANONYMOUS:
            raise Ungranted(f"{self._name}: no placeholder in {TOKEN.decode('ascii')}")
        return self._signed(outbound, permit)

    async def _signed(self, outbound: Outbound, permit: Permit) -> str | None:
        request = permit.access.request
        try:
            claim = claimed(request.head)
            spent = await self._spent(permit.principal.key, request.head)
            self._judge(spent.held, claim)
            payload = await self._payload(outbound, request.head)
            frames = verify(claim, request, spent.held.secret, payload, self._used.clock.now())
        except Refused as error:
            raise refusal(self._used, self._name, permit, str(error)) from None
        coming = self._signer(spent, claim).inject(outbound, permit, frames)
        if coming is not None:
            await coming
        return self.name

    async def _spent(self, principal: str, head: Head) -> Spent:
        """Raises Refused and DependencyDown."""
        token = head.fields.get(TOKEN, b"")
        found = self._opened.find(principal, token)
        if found is None:
            found = Spent(await keys.opened(self._used.ring, keys.place(self._name, principal), token))
            self._opened.keep(principal, token, found)
        return found

    def _judge(self, held: Held, claim: Claim) -> None:
        """Raises Refused for keys that have ended, and for what is signed for something else."""
        self._opened.judge(held.expires, held.captured_at)
        if claim.id != held.id:
            raise Refused("altered")
        if claim.scope.region not in self._regions or claim.scope.service not in self._services:
            raise Refused("scope")

    async def _payload(self, outbound: Outbound, head: Head) -> bytes:
        """What stands for the body in the client's signature. Raises Refused for a body that is not the one it signed."""
        body, stated = outbound.body, head.fields.get(PAYLOAD)
        if stated is not None and len(stated) != HASH_SIGNS:  # UNSIGNED-PAYLOAD, or frames of its own
            return stated
        if stated is not None and body.length is not None and body.length > self._buffer:
            outbound.body = Checked(body, stated)
            return stated
        try:
            whole = await body.read(self._buffer)
        except BadRequest as error:
            detail = f"{self._name}: {error.detail}: raise `buffer`" if error.reason is Reason.BODY_TOO_LARGE else error.detail
            raise BadRequest(detail, reason=error.reason, close=True) from error
        found = sha256(whole).hexdigest().encode("ascii")
        if stated not in (None, found):
            raise Refused("signature")
        return found

    def _signer(self, spent: Spent, claim: Claim) -> SigV4Injector:
        scope = claim.scope
        found = spent.signers.get((scope.region, scope.service))
        if found is None:
            region, service = scope.region.decode("ascii"), scope.service.decode("ascii")
            found = spent.signers[scope.region, scope.service] = SigV4Injector(
                self._name,
                spent,
                region=region,
                service=service,
                buffer=self._buffer,
                unsigned=False,
                now=self._used.clock.now,
            )
        return found


class Checked:
    """A body that is not the one that was signed does not end; implements core.message.Body."""

    __slots__ = ("_body", "_stated", "length", "limit", "received", "whole")

    def __init__(self, body: Body, stated: bytes) -> None:
        self._body = body
        self._stated = stated
        self.length = body.length
        self.limit = body.limit
        self.received = 0
        self.whole: bytes | None = None

    async def read(self, limit: int) -> bytes:
        self.whole = await gathered(self, limit)
        return self.whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises BadRequest before the last piece where the hash is another."""
        digest, held = sha256(), b""
        async for piece in self._body:
            digest.update(piece)
            self.received += len(piece)
            if held:
                yield held
            held = piece
        if digest.hexdigest().encode("ascii") != self._stated:
            raise BadRequest("the body is not the one that the client signed", close=True)
        yield held
