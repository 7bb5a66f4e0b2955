"""Proofs of possession (RFC 9449): whoever sends a token shows with each request that he has the key it is bound to.

What is cheap is looked at before the signature, and a proof counts as used only once all of it is right.
"""

import hmac
import re
from collections.abc import Mapping
from typing import Any, Final, final

from gateway.authn.digest import sha256
from gateway.authn.dpop_model import Dpop
from gateway.authn.jwk import Key, for_verification, one
from gateway.authn.nonces import Nonces
from gateway.authn.recent import Recent
from gateway.authn.thumbprint import members, thumbprint
from gateway.authn.token import Malformed, Token
from gateway.core.errors import BadRequest, Theft, Unauthenticated
from gateway.core.message import Field, Request
from gateway.core.origin import DEFAULT_PORTS, own_origin
from gateway.core.path import canonical
from gateway.core.ports import CLOCKS, Clock, Once
from gateway.core.reason import Reason

DPOP: Final = b"dpop"
"""The header field of a proof."""
TYPE: Final = "dpop+jwt"
LONGEST: Final = 8192
"""Bytes of a proof."""
MAX_JTI: Final = 256
REMEMBERED: Final = 2048
"""Keys that were read. What is remembered is found by its thumbprint, so that nobody has another's key."""
URL: Final = re.compile(
    r"(https?)://([a-z0-9_.-]{1,255}|\[[0-9a-f:.]{2,45}\])(?::([0-9]{1,5}))?(/[^?#]*)?(?:[?#].*)?", re.IGNORECASE | re.ASCII
)


@final
class Proofs:
    """Judges the proofs of all routes. Of each only a digest is kept, for as long as it could be used again."""

    def __init__(self, model: Dpop, once: Once, nonces: Nonces | None, clock: Clock) -> None:
        self._algorithms = frozenset(model.algorithms)
        self._oldest = model.max_age
        self._leeway = model.leeway
        self._once = once
        self._nonces = nonces
        self._now = clock.now
        self._keys: Recent[str, Key] = Recent(REMEMBERED)
        self.algs = " ".join(model.algorithms)

    def challenge(self, error: str = "") -> Field:
        """RFC 9449 7.1."""
        told = f'error="{error}", ' if error else ""
        return b"www-authenticate", f'DPoP realm="gateway", {told}algs="{self.algs}"'.encode()

    async def check(self, request: Request, token: bytes, jkt: str) -> None:
        """That the request comes with one proof, for this very request and token, by the key with that thumbprint, and for the
        first time (RFC 9449 4.3 and 7.1). Raises Unauthenticated; DependencyDown where it cannot be told what came before.
        """
        _, jti = self.examined(request, token, jkt)
        await self._use("dpop", jkt, jti)

    async def spend(self, jkt: str, jti: str) -> None:
        """Use up a proof that came with a request for a token. Those have room of their own: whoever fills it keeps nobody from
        using the tokens there are. Raises as `check` does."""
        await self._use("dpop_token", jkt, jti)

    def examined(self, request: Request, token: bytes | None = None, expected: str | None = None) -> tuple[str, str]:
        """The thumbprint of the key whose proof a request comes with, which a token is to be bound to (5), and the proof's `jti`.
        Nothing is used up. Raises Unauthenticated."""
        raw = request.head.fields.get(DPOP)
        if raw is None or DPOP in request.head.repeated:
            raise self._refused("no proof, or several")
        try:
            proof = Token(raw, LONGEST)
            jkt = thumbprint(members(proof.header.get("jwk"))) if expected is None else expected
            key = self._key(proof, jkt)
        except (Malformed, ValueError) as error:
            raise self._refused(str(error)) from error
        jti = self._judge(proof.payload, request, token)
        if not key.verifies(proof.algorithm, proof.signed, proof.signature):
            raise self._refused("the signature does not verify")
        return jkt, jti

    async def _use(self, purpose: str, jkt: str, jti: str) -> None:
        if not await self._once.first(f"{purpose}:{jkt}:{jti}", self._oldest + self._leeway + CLOCKS):
            replayed = self._refused("the proof was used before", genuine=True)
            replayed.theft = Theft("token.replayed")
            raise replayed

    def _key(self, proof: Token, jkt: str) -> Key:
        """The key that the proof names, if it is the one and may sign this way. Raises ValueError."""
        if proof.header.get("typ") != TYPE or proof.algorithm not in self._algorithms:
            raise ValueError("its type or algorithm is not accepted")
        named = members(proof.header.get("jwk"))
        if not hmac.compare_digest(thumbprint(named), jkt):
            raise ValueError("the key is not the one the token is bound to")
        for_verification(proof.header["jwk"])
        key = self._keys.get(jkt)
        if key is None:
            key = one(named)
            self._keys.put(jkt, key)
        if proof.algorithm not in key.algorithms or proof.header["jwk"].get("alg", proof.algorithm) != proof.algorithm:
            raise ValueError("the key is for another algorithm")
        return key

    def _judge(self, claims: Mapping[str, Any], request: Request, token: bytes | None) -> str:
        """What the proof says of the request; gives its `jti`. Raises Unauthenticated."""
        jti, ath = claims.get("jti"), claims.get("ath")
        if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI:
            raise self._refused("`jti` is not usable")
        if claims.get("htm") != request.method:
            raise self._refused("for another method")
        if not names(claims.get("htu"), request):
            raise self._refused("for another URL")
        if token is not None and not (isinstance(ath, str) and ath.isascii() and hmac.compare_digest(ath, sha256(token))):
            raise self._refused("for another token")
        if self._nonces is not None and not self._nonces.knows(claims.get("nonce")):
            headers = self.challenge("use_dpop_nonce"), (b"dpop-nonce", self._nonces.fresh().encode())
            # An honest client meets this once in a while: it is no failure that counts towards a block.
            raise Unauthenticated("dpop: no nonce of ours, or an old one", reason=Reason.CREDENTIAL_MISSING, headers=headers)
        issued, now = claims.get("iat"), self._now()
        if isinstance(issued, bool) or not isinstance(issued, (int, float)):
            raise self._refused("`iat` is not a time")
        if not now - self._oldest < issued <= now + self._leeway:
            raise self._refused("too old, or not yet valid")
        return jti

    def _refused(self, why: str, *, genuine: bool = False) -> Unauthenticated:
        return Unauthenticated(f"dpop: {why}", headers=(self.challenge("invalid_dpop_proof"),), genuine=genuine)


def names(htu: Any, request: Request) -> bool:
    """Whether a URL is the request's as its client wrote it, compared in one spelling, without query and fragment (4.3).

    Scheme and host are those that intake settled: what a stranger says of forwarding has no part in it.
    """
    own = own_origin(request.head) + request.path
    if htu == own:
        return True
    parts = URL.fullmatch(htu) if isinstance(htu, str) and len(htu) <= LONGEST else None
    if parts is None:
        return False
    scheme, port = parts[1].lower(), f":{int(parts[3])}" if parts[3] else ""
    host = parts[2].lower().removesuffix(".") + port.removesuffix(DEFAULT_PORTS[scheme])
    try:
        return own == f"{scheme}://{host}{canonical((parts[4] or '/').encode())}"
    except BadRequest:
        return False
