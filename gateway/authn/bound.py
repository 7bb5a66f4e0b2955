"""Tokens bound to something their holder has: a key (DPoP, RFC 9449) or a client certificate (RFC 8705 3).

A copy of such a token is worth nothing: with each request, on each connection, its holder proves anew that he has the other half.
"""

import hmac
import secrets as random
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

from gateway.authn.digest import SHA256, sha256
from gateway.authn.dpop import Proofs
from gateway.authn.dpop_model import Dpop
from gateway.authn.issuers import Secrets, refused, strong_secret
from gateway.authn.nonces import Nonces
from gateway.authn.strength import SHORTEST
from gateway.core.errors import Theft, Unauthenticated
from gateway.core.message import Field, Request
from gateway.core.ports import Clock, Once, Tally
from gateway.core.principal import Principal

CONFIRMATION: Final = "cnf"
KEY: Final = "jkt"
CERTIFICATE: Final = "x5t#S256"
CALLS: Final = "calls"
"""The member of `cnf`, within this house alone, of a token that counts for so many calls. No issuer can state it: what is not
`understood` is refused."""
CONVEYED: Final = {"dpop": KEY, "mtls": CERTIFICATE}
"""What `require` may name, and the member of `cnf` (RFC 7800) that says so."""
LATER: Final = 60.0
"""Seconds by which calls are counted for longer than the token they belong to lives: clocks of replicas differ."""
SPENT: Final = {"budget": "exhausted"}
"""What the problem document says besides."""
# RFC 6750 3: a Bearer challenge has at least one parameter, and no `error` where no credential was presented.
MISSING: Final[tuple[Field, ...]] = ((b"www-authenticate", b'Bearer realm="gateway"'),)
INVALID: Final[tuple[Field, ...]] = ((b"www-authenticate", b'Bearer realm="gateway", error="invalid_token"'),)


def understood(confirmation: Any) -> bool:
    """Whether `cnf` names bindings that are all checked here. RFC 7800 3.1 leaves others open; what is not checked is refused."""
    return (
        isinstance(confirmation, dict)
        and bool(confirmation)
        and confirmation.keys() <= {KEY, CERTIFICATE}
        and all(isinstance(value, str) and SHA256.fullmatch(value) for value in confirmation.values())
    )


@final
class Bound:
    """What one gate's routes demand of bindings; none where `required` is empty, any of those it names otherwise."""

    __slots__ = ("_proofs", "_tally", "invalid", "missing", "required")

    def __init__(self, proofs: Proofs | None, required: Sequence[str] = (), tally: Tally | None = None) -> None:
        self._proofs = proofs
        self._tally = tally
        self.required = frozenset(CONVEYED[each] for each in required)
        plain = self.required != {KEY}
        told = None if self.required == {CERTIFICATE} else proofs
        self.missing = (MISSING if plain else ()) + ((told.challenge(),) if told is not None else ())
        self.invalid = (INVALID if plain else ()) + ((told.challenge("invalid_token"),) if told is not None else ())

    async def confirm(self, request: Request, principal: Principal, token: bytes, *, proved: bool) -> None:
        """That whoever presents a verified token has what it is bound to. `proved` says that it came as DPoP, not Bearer.

        Raises Unauthenticated, or DependencyDown where it cannot be told whether a proof was used before.
        """
        bindings: Mapping[str, Any] = principal.claims.get(CONFIRMATION) or {}
        if proved is not (KEY in bindings):
            raise Unauthenticated("bound: a DPoP-bound token comes as DPoP, any other as Bearer", headers=self.invalid)
        if self.required and self.required.isdisjoint(bindings):
            raise Unauthenticated("bound: this route demands a token that is bound otherwise", headers=self.invalid)
        if CERTIFICATE in bindings:
            certificate = request.head.certificate
            if certificate is None or not hmac.compare_digest(sha256(certificate), bindings[CERTIFICATE]):
                raise Unauthenticated("bound: the token belongs to another certificate", headers=self.invalid)
        if proved:
            if self._proofs is None:
                raise Unauthenticated("bound: proofs are not accepted here", headers=self.invalid)
            try:
                await self._proofs.check(request, token, bindings[KEY])
            except Unauthenticated as error:
                if error.theft is not None:
                    error.theft = Theft(error.theft.kind, principal.issuer, principal.id)
                raise
        for name, most, life in bindings.get(CALLS, ()):
            await self._spend(name, most, life)

    async def _spend(self, name: str, most: int, life: float) -> None:
        """One call of so many that `name` has, which lives for so many seconds from its making. Raises Unauthenticated after the
        last, DependencyDown where nobody can tell."""
        if self._tally is None or not await self._tally.spend(f"calls:{name}", most, life + LATER):
            raise Unauthenticated("tokens: its calls are spent", genuine=True, headers=self.invalid, members=SPENT)


def proofs(model: Dpop, secrets: Secrets, once: Once, clock: Clock) -> Proofs:
    """As configured. Raises ConfigError for a key of nonces that is missing or weak."""
    nonces = None
    if model.nonce is not None:
        own = random.token_bytes(SHORTEST)
        chosen = model.nonce.key
        shared = None if chosen is None else strong_secret(secrets, chosen, "authentication.dpop.nonce.key", SHORTEST)
        nonces = Nonces((lambda: own) if shared is None else shared.current, model.nonce.lifetime, clock)
    return Proofs(model, once, nonces, clock)


def check(required: Sequence[str], accepted: Sequence[str], *, dpop: bool) -> None:
    """Raises ConfigError where a route demands a binding that what it accepts cannot have."""
    if not required:
        return
    if "dpop" in required and not dpop:
        raise refused("`dpop` is not configured: add `authentication: {dpop: {}}`", "require")
    for name in accepted:
        if name.startswith(("jwt.", "introspection.")) or name == "tokens" or (name == "mtls" and "mtls" in required):
            continue
        ways = "leave it out of `authenticate`, or give it a route without `require`"
        raise refused(f"`{name}` is not bound by {' or '.join(required)}: {ways}", "require")
