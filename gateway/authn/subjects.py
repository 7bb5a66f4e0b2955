"""Who stands behind what is presented for a token: tokens of ours and of configured issuers, and API keys."""

from collections.abc import Mapping
from typing import Any, final

from gateway.authn.api_keys import KeyRing
from gateway.authn.dpop import Proofs
from gateway.authn.introspection import Introspector
from gateway.authn.jwt import Verifier
from gateway.authn.own.verifier import OwnVerifier
from gateway.authn.presented import AUTHORIZATION
from gateway.authn.token import Malformed, Token
from gateway.core.errors import BadRequest, Unauthenticated
from gateway.core.message import Request
from gateway.core.principal import Identity
from gateway.core.reason import Reason

BEARER = b"bearer"
Record = Mapping[str, Any]


@final
class Subjects:
    """Verifies them as a route would, and gives no roles: they are given with each request."""

    def __init__(
        self,
        own: OwnVerifier | None,
        verifiers: Mapping[str, Verifier],
        introspectors: Mapping[str, Introspector],
        keys: KeyRing | None,
        key_header: bytes | None,
        proofs: Proofs | None,
    ) -> None:
        self._own = own
        self._verifiers = {verifier.issuer: (name, verifier) for name, verifier in verifiers.items()}
        self._introspectors = introspectors
        self._keys = keys
        self._key_header = key_header
        self.proofs = proofs

    def presented_key(self, request: Request) -> bytes | None:
        """The API key of a request, from its own header or as a Bearer value. Raises BadRequest for two."""
        if self._keys is None:
            return None
        fields, repeated = request.head.fields, request.head.repeated
        word, _, rest = fields.get(AUTHORIZATION, b"").partition(b" ")
        token = rest.strip(b" ") if word.lower() == BEARER and rest.strip(b" ").startswith(self._keys.prefix) else None
        header = fields.get(self._key_header) if self._key_header is not None else None
        if header is None:
            return token
        if AUTHORIZATION in fields or self._key_header in repeated:
            raise BadRequest("token: more than one credential", reason=Reason.CREDENTIAL_AMBIGUOUS)
        return header

    def key(self, key: bytes, client: str) -> tuple[Identity, str]:
        """Whose API key this is, and its name with what it gives. Raises Unauthenticated and DependencyDown."""
        if self._keys is None:
            raise Unauthenticated("token: API keys are not configured")
        stored = self._keys.verify(key, client)
        if stored.addresses is not None:
            # What it is traded for could be used from anywhere.
            raise Unauthenticated("token: a key that is for some addresses only is not traded", genuine=True)
        return stored.identity, stored.name

    def is_key(self, value: bytes) -> bool:
        return self._keys is not None and value.startswith(self._keys.prefix)

    def own(self, raw: bytes) -> tuple[Identity, Record] | None:
        """Whom one of our own tokens stands for, with what is sealed in it; None for what is not ours. Raises Unauthenticated."""
        if self._own is None or raw.count(b".") != 2:
            return None
        token = parsed(raw, self._own.limit)
        return self._own.read(token) if token.issuer == self._own.issuer else None

    async def jwt(self, raw: bytes) -> tuple[str, Identity]:
        """The issuer's entry (`jwt.NAME`) and whom its token stands for. Raises Unauthenticated and DependencyDown."""
        token = parsed(raw, 65536)
        found = self._verifiers.get(token.issuer or "")
        if found is None:
            raise Unauthenticated("token: no accepted issuer")
        name, verifier = found
        return f"jwt.{name}", await verifier.verify(token)

    async def opaque(self, name: str, raw: bytes) -> Identity:
        """Whom an opaque token of an issuer stands for. Raises Unauthenticated and DependencyDown."""
        introspector = self._introspectors[name]
        verdict = await introspector.ask(raw, introspector.key(raw))
        if verdict.identity is None:
            raise Unauthenticated(verdict.detail, reason=verdict.reason, genuine=verdict.genuine)
        return verdict.identity


def parsed(raw: bytes, limit: int) -> Token:
    """Raises Unauthenticated."""
    try:
        return Token(raw, limit)
    except Malformed as error:
        raise Unauthenticated(f"token: {error}") from error
