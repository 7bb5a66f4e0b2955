"""A request of the audit trail as a question to policies, with what the trail knows of it and what it does not.

The trail never carries headers, query values, claims or bodies; subjects and addresses may be masked, long texts are cut. What is
not carried is unknown, never guessed.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.authz.cases import imagined
from gateway.authz.cel.values import NANOSECONDS, Timestamp
from gateway.core.decision import AccessRequest, would_change
from gateway.core.principal import ANONYMOUS, Identity, Principal

CARRIED: Final = frozenset(
    {
        "subject.issuer",
        "subject.scheme",
        "resource.route",
        "resource.upstream",
        "request.method",
        "env.now",
    }
)
"""Names that the trail carries of every request that was decided."""
CLAIMLESS: Final = frozenset({"subject.claims", "subject.groups", "subject.scopes"})
"""What only a token has."""
TOKENS: Final = frozenset({"jwt", "introspection", "session"})
MOST_CARRIED: Final = 32
"""Roles or parameters of which the trail carries no more."""
CUT: Final = "…"
MASK: Final = "***"
HASHED: Final = "hmac:"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One decided request. `time` is Unix seconds, `allowed` the answer, `rule` the deciding rule, None for default deny.

    `shadow` is what the shadow rules would have decided: (rule, allowed). `errors` are rules whose condition had no value.
    """

    id: str
    time: float
    stamp: str
    generation: str
    client: str
    issuer: str
    subject: str
    scheme: str
    credential: str
    roles: tuple[str, ...]
    route: str
    params: Mapping[str, str]
    method: str
    path: str
    allowed: bool
    rule: str | None
    shadow: tuple[str, bool] | None = None
    errors: tuple[str, ...] = ()
    known: frozenset[str] = frozenset()
    """The names that conditions can read of it, but for roles and permissions, which depend on the policies."""

    @property
    def who(self) -> str:
        """The principal, for people."""
        return f"{self.issuer}:{self.subject}"

    def access(self, upstream: str) -> AccessRequest:
        """The question, with nothing in it where the trail is silent."""
        request = imagined(self.method, self.path, client=self.client)
        return AccessRequest(request, self.route, upstream, self.params, self.time)

    def principal(self, roles: tuple[str, ...], permissions: tuple[str, ...], mask: int) -> Principal:
        """Who asked, with the roles that somebody found he has."""
        identity = Identity(id=self.subject, issuer=self.issuer, scheme=self.scheme)
        return Principal(identity, roles=roles, permissions=permissions, mask=mask, uncapped=mask)

    @property
    def would_change(self) -> bool:
        """Whether the shadow rules, enforced, would have changed the answer."""
        return would_change(self.allowed, self.rule, self.shadow)

    @property
    def is_anonymous(self) -> bool:
        return self.scheme == ANONYMOUS


def recorded(fields: Mapping[str, Any]) -> Recorded | None:
    """The request of an event's fields, None where it never came to a decision, or is not what the trail writes."""
    texts = {name: fields.get(name) for name in ("request_id", "ts", "issuer", "subject", "scheme", "route", "method")}
    decision = fields.get("decision")
    if decision not in ("allow", "deny") or not all(isinstance(value, str) for value in texts.values()):
        return None
    roles, params, rule = fields.get("roles") or [], fields.get("params") or {}, fields.get("rule")
    if not _are_texts(roles) or not isinstance(params, dict) or not _are_texts(list(params.values())):
        return None
    try:
        time = Timestamp.parse(str(fields["ts"])).nanoseconds / NANOSECONDS
    except ValueError:
        return None
    return Recorded(
        id=str(fields["request_id"]),
        time=time,
        stamp=str(fields["ts"]),
        generation=_text(fields, "generation"),
        client=_text(fields, "client"),
        issuer=str(fields["issuer"]),
        subject=str(fields["subject"]),
        scheme=str(fields["scheme"]),
        credential=_text(fields, "credential_id"),
        roles=tuple(roles),
        route=str(fields["route"]),
        params=params,
        method=str(fields["method"]),
        path=_text(fields, "path"),
        allowed=decision == "allow",
        rule=rule if isinstance(rule, str) else None,
        shadow=_shadow(fields.get("shadow")),
        errors=tuple(found) if _are_texts(found := fields.get("condition_errors") or []) else (),
        known=_known(fields),
    )


def _known(fields: Mapping[str, Any]) -> frozenset[str]:
    """What is carried, and neither masked nor cut."""
    subject, path = _text(fields, "subject"), _text(fields, "path")
    params = fields.get("params") or {}
    found = set(CARRIED)
    if not subject.startswith(HASHED) and MASK not in subject and not subject.endswith(CUT):
        found.add("subject.id")
    if _is_address(_text(fields, "client")):
        found.add("request.client_ip")
    if path and not path.endswith(CUT):
        found.add("resource.path")
    if len(params) < MOST_CARRIED and not any(value.endswith(CUT) for value in params.values()):
        found.add("resource.params")
    if fields.get("scheme") not in TOKENS:
        found |= CLAIMLESS
    return frozenset(found)


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _shadow(value: Any) -> tuple[str, bool] | None:
    if isinstance(value, dict) and isinstance(value.get("rule"), str):
        return value["rule"], value.get("decision") == "allow"
    return None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
