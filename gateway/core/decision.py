"""May they? The question, the answer, and the proof of an allowing answer."""

from collections.abc import Mapping
from typing import Any, Final, final

from gateway.core.message import Request
from gateway.core.obligations import Obligations
from gateway.core.principal import Principal


class Unread:
    """Stands for a body that nobody looked into."""

    __slots__ = ()


UNREAD: Final = Unread()


class AccessRequest:
    """One question: this action, on this resource, in this environment. What conditions read beside the principal.

    `params` are decoded path parameters; `now` is Unix time. The method, the headers and the query are read from `request` by
    whoever needs them, so that a rule that reads none costs nothing; `query` keeps the decoded one for the next reader. `body` is
    the parsed one where rules read it and it could be inspected, else UNREAD. `purse` is what the loops of all conditions together
    may still cost, filled by the first of them.
    """

    __slots__ = ("body", "now", "params", "purse", "query", "request", "route", "upstream")

    def __init__(self, request: Request, route: str, upstream: str, params: Mapping[str, str], now: float) -> None:
        self.request = request
        self.route = route
        self.upstream = upstream
        self.params = params
        self.now = now
        self.query: dict[str, list[str]] | None = None
        self.body: Any = UNREAD
        self.purse: list[int] | None = None


class Decision:
    """One answer. `rule` is `policy/rule` of the deciding rule, None when no rule allowed it (default deny).

    `place` is that rule's `file:line`; `capped` is set when only a scope ceiling stood in the way; `errors` names rules
    whose condition could not be evaluated; `shadow` is what shadow rules would have decided: (rule, effect) or None.
    `obligations` are what an allowing one demands, None where it demands nothing.
    """

    __slots__ = ("allowed", "capped", "errors", "obligations", "place", "rule", "shadow")

    def __init__(
        self,
        allowed: bool,
        rule: str | None,
        place: str | None = None,
        *,
        capped: bool = False,
        errors: tuple[str, ...] = (),
        shadow: tuple[str, bool] | None = None,
        obligations: Obligations | None = None,
    ) -> None:
        self.allowed = allowed
        self.rule = rule
        self.place = place
        self.capped = capped
        self.errors = errors
        self.shadow = shadow
        self.obligations = obligations

    @property
    def effect(self) -> str:
        return "allow" if self.allowed else "deny"

    @property
    def would_change(self) -> bool:
        """Whether the answer would be another one if the shadow rules were enforced."""
        return would_change(self.allowed, self.rule, self.shadow)


def would_change(allowed: bool, rule: str | None, shadow: tuple[str, bool] | None) -> bool:
    """Whether what shadow rules say is another answer: a deny always wins, an allow only where no rule denied."""
    if shadow is None:
        return False
    return not allowed and rule is None if shadow[1] else allowed


@final
class Permit:
    """Proof of an allowing decision, with what it demands. Only `authz.policy.enforce` makes one; injectors demand it."""

    __slots__ = ("access", "obligations", "principal")

    def __init__(self, principal: Principal, access: AccessRequest, obligations: Obligations | None) -> None:
        self.principal = principal
        self.access = access
        self.obligations = obligations
