"""What an issuer states about somebody, judged: issuer, audience, times, and the claims that become the identity.

RFC 7519 4.1 and RFC 7662 2.2 name the same claims: one judge for tokens that carry them and for those that are asked about.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, final

from gateway.authn.bound import CONFIRMATION, understood
from gateway.authn.model import WAIVED, Stated
from gateway.core.errors import Unauthenticated
from gateway.core.ports import Clock, Grant
from gateway.core.principal import Identity, Principal
from gateway.core.reason import Reason

LATEST: Final = 253_402_300_799
"""The last second of the year 9999: a later time is milliseconds, or an attempt never to expire."""
TOKENS: Final = frozenset({"jwt", "introspection"})
"""Schemes whose credentials are for an audience."""
MAX_SUBJECT: Final = 1024


@final
class Claims:
    """Judges what one configured entry's issuer states; the entry's `name` becomes the principal's issuer."""

    def __init__(
        self, scheme: str, name: str, model: Stated, clock: Clock, required: Iterable[str] = (), *, bound: bool = False
    ) -> None:
        """`required` claims beside those that the entry names. `bound` is for those who check afterwards that a token's holder
        has what it is bound to (`bound.Bound.confirm`).
        """
        self._bound = bound
        self._scheme = scheme
        self._name = name
        self._model = model
        self._clock = clock
        self._audience = frozenset(model.audience) if model.audience != WAIVED else None
        self._required = frozenset({*model.required_claims, *required, model.subject})

    def check(self, claims: Mapping[str, Any]) -> None:
        """What the issuer was proved to have stated. Raises Unauthenticated."""
        if missing := sorted(name for name in self._required if claims.get(name) is None):
            raise self.refused(f"no {missing[0]}")
        if self._model.issuer != WAIVED and claims.get("iss") != self._model.issuer:
            raise self.refused("another issuer", genuine=True)
        if self._audience is not None and self._audience.isdisjoint(self._texts(claims, "aud")):
            raise self.refused("for another audience", genuine=True)
        # RFC 9449 7.2, RFC 8705 3: such a token is worth nothing without a proof of possession.
        if CONFIRMATION in claims and not (self._bound and understood(claims[CONFIRMATION])):
            raise self.refused("a sender-constrained token needs its proof")
        self._check_times(claims)

    def identity(self, claims: Mapping[str, Any], credential_id: str) -> Identity:
        """Who it is, of claims that were checked. Raises Unauthenticated for those that cannot be used."""
        model, subject = self._model, claims.get(self._model.subject)
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
            raise self.refused("the subject is not usable")
        return Identity(
            id=subject,
            issuer=self._name,
            scheme=self._scheme,
            credential_id=credential_id,
            claims=claims,
            groups=self._texts(claims, model.groups),
            scopes=self._texts(claims, model.scopes, " "),
            scope_ceiling=model.scope_ceiling,
            expires=self._time(claims, "exp"),
        )

    def refused(self, why: str, reason: Reason | None = None, *, genuine: bool = False) -> Unauthenticated:
        return Unauthenticated(f"{self._scheme} {self._name}: {why}", reason=reason, genuine=genuine)

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now, leeway = self._clock.now(), self._model.leeway
        expires, begins, issued = (self._time(claims, name) for name in ("exp", "nbf", "iat"))
        if expires is not None and now >= expires + leeway:
            raise self.refused("expired", Reason.CREDENTIAL_EXPIRED)
        if (begins is not None and begins > now + leeway) or (issued is not None and issued > now + leeway):
            raise self.refused("not valid yet")

    def _time(self, claims: Mapping[str, Any], name: str) -> float | None:
        """A NumericDate (RFC 7519 2) or None. Strings and booleans are no numbers, whatever other readers make of them."""
        value = claims.get(name)
        if value is None and name not in claims:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LATEST:
            raise self.refused(f"{name} is not a time")
        return float(value)

    def _texts(self, claims: Mapping[str, Any], name: str, separator: str | None = None) -> tuple[str, ...]:
        """A claim that is a string or a list of strings; a string is split at `separator`."""
        value = claims.get(name)
        if value is None:
            return ()
        if isinstance(value, str):
            return tuple(part for part in value.split(separator) if part) if separator else (value,)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.refused(f"{name} is not text")
        return tuple(value)


def granted_for(grant: Grant, resource: str, identity: Identity) -> Principal:
    """Who holds a token for this very resource (RFC 8707). Raises Unauthenticated; other credentials name no audience."""
    audience = identity.claims.get("aud")
    if identity.scheme in TOKENS and resource != audience and not (isinstance(audience, list) and resource in audience):
        raise Unauthenticated(f"{identity.scheme} {identity.issuer}: for another resource", genuine=True)
    return grant(identity)
