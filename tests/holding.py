"""A client that holds the key its tokens are bound to: proofs made by hand, so that they may be wrong in any way (RFC 9449 4.2)."""

import itertools
import json
from typing import Any

from gateway.authn.digest import sha256
from gateway.authn.thumbprint import members, thumbprint
from tests.issuer import NOW, EcKey, EdKey, RsaKey, SharedKey, b64, mint_raw

_NUMBERS = itertools.count()


class Holder:
    """One key pair, and proofs for requests to `url`."""

    def __init__(
        self, key: EcKey | EdKey | RsaKey | None = None, *, url: str = "https://api.example.com/", now: float = NOW
    ) -> None:
        self.key = key or EcKey(None)
        self.url = url
        self.now = now

    @property
    def jwk(self) -> dict[str, Any]:
        return self.key.jwk()

    @property
    def cnf(self) -> dict[str, str]:
        return {"jkt": thumbprint(members(self.jwk))}

    def proof(
        self,
        token: str,
        *,
        header: dict[str, Any] | None = None,
        signer: EcKey | EdKey | RsaKey | SharedKey | None = None,
        **claims: Any,
    ) -> bytes:
        """A proof for GET; a member given as None is left out."""
        head = {"typ": "dpop+jwt", "alg": self.key.algorithm, "jwk": self.jwk} | (header or {})
        body = {
            "jti": f"jti-{next(_NUMBERS)}",
            "htm": "GET",
            "htu": self.url,
            "iat": int(self.now),
            "ath": sha256(token.encode()),
        } | claims
        parts = [json.dumps({name: value for name, value in part.items() if value is not None}).encode() for part in (head, body)]
        return mint_raw(signer or self.key, *parts).encode()


def dpop(token: str, *proofs: bytes) -> list[tuple[bytes, bytes]]:
    """The fields of a request with a bound token."""
    return [(b"authorization", b"DPoP " + token.encode()), *((b"dpop", proof) for proof in proofs)]


def none_signed(proof: bytes) -> bytes:
    """The same proof without a signature, which says so."""
    head = b64(json.dumps({"typ": "dpop+jwt", "alg": "none"}).encode()).encode()
    return head + b"." + proof.split(b".")[1] + b"."
