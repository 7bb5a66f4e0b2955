"""Tokens presented in one place, for the issuers a route accepts there; what was verified is remembered for a while."""

import hashlib
import os
from collections.abc import Sequence
from typing import Any, Final, Protocol, final

from gateway.authn.bound import CONFIRMATION
from gateway.authn.model import WAIVED
from gateway.authn.recent import Recent
from gateway.authn.token import Malformed, Token
from gateway.authn.workloads import trust_domain
from gateway.core.errors import Unauthenticated
from gateway.core.message import MOST_NOTED
from gateway.core.ports import Clock, Grant
from gateway.core.principal import Identity, Principal

REMEMBERED: Final = 10_000
LONGEST: Final = 300.0
"""Seconds after which even a long-lived token is verified again."""


class Revised(Protocol):
    """What changes."""

    @property
    def revision(self) -> int: ...


class Verifying(Protocol):
    """Verifies one issuer's tokens, of at most `limit` bytes. When what it verified may count no more, `keys.revision` changes."""

    issuer: str
    limit: int

    @property
    def keys(self) -> Revised: ...

    async def verify(self, token: Token) -> Identity:
        """Raises Unauthenticated, or DependencyDown where that cannot be told now."""
        ...


Verified = tuple[Principal, float, Verifying, int]
"""Who, until when, by whom, with which revision of the keys."""


@final
class Tokens:
    """Decides tokens for one set of accepted issuers, one place (bearer or a cookie) and one policy.

    What is remembered is keyed by a keyed digest of the token and good only here: never for another set of issuers, place or
    policy, never past `exp`, never after the issuer's keys changed.
    """

    def __init__(self, accepted: Sequence[Verifying], configured: frozenset[str], grant: Grant, clock: Clock) -> None:
        """`configured` are all issuers anywhere in the configuration: a token of one of them is never anybody else's."""
        self._by_issuer = {verifier.issuer: verifier for verifier in accepted}
        self._any = self._by_issuer.pop(WAIVED, None)
        self._configured = configured
        self._grant = grant
        self._now = clock.now
        self._limit = max((verifier.limit for verifier in accepted), default=0)
        # BLAKE2b: half the time of SHA-256 on processors without instructions for it. The key makes a dump of memory useless.
        self._digest = hashlib.blake2b(key=os.urandom(32), digest_size=32)
        self._verified: Recent[bytes, Verified] = Recent(REMEMBERED)

    def recalled(self, memo: dict[object, Any]) -> Principal | None:
        """Who presented this very head before, None when that must be found out (again). `memo` is the head's."""
        known: Verified | None = memo.get(self)
        if known is None:
            return None
        principal, until, verifier, revision = known
        now = self._now
        if until > now() and verifier.keys.revision == revision:
            return principal
        del memo[self]
        return None

    def remembered(self, raw: bytes, memo: dict[object, Any] | None) -> Principal | None:
        """Who presented this very token before, None when that must be found out (again). Noted in the head's memo, unless it is
        bound: its holder proves with each request that it is his.
        """
        known = self._verified.get(self._key(raw)) if len(raw) <= self._limit else None
        if known is None or known[1] <= self._now() or known[2].keys.revision != known[3]:
            return None
        if memo is not None and len(memo) < MOST_NOTED and CONFIRMATION not in known[0].claims:
            memo[self] = known
        return known[0]

    def _key(self, raw: bytes) -> bytes:
        digest = self._digest.copy()
        digest.update(raw)
        return digest.digest()

    async def authenticate(self, raw: bytes) -> Principal:
        """Who presents this token, verified and remembered. Raises Unauthenticated or DependencyDown."""
        try:
            token = Token(raw, self._limit)
        except Malformed as error:
            raise Unauthenticated(f"jwt: {error}") from error
        verifier = self._verifier(token)
        # Read before verifying: a key that is replaced meanwhile, perhaps on another thread, makes the entry useless, not wrong.
        revision = verifier.keys.revision
        identity = await verifier.verify(token)
        principal = self._grant(identity)
        until = self._now() + LONGEST
        if principal.expires is not None:
            until = min(until, principal.expires)
        self._verified.put(self._key(raw), (principal, until, verifier, revision))
        return principal

    def _verifier(self, token: Token) -> Verifying:
        issuer = token.issuer
        verifier = self._by_issuer.get(issuer) if issuer is not None else None
        if verifier is None and issuer not in self._configured:
            # JWT-SVID 3 asks for no `iss`: a workload's token is its trust domain's.
            verifier = self._by_issuer.get(f"spiffe://{trust_domain(token.payload.get('sub'))}", self._any)
        if verifier is None:
            raise Unauthenticated("jwt: no accepted issuer")
        return verifier
