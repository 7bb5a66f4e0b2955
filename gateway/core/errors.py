"""The tree of errors a request can end with, and the one a configuration can end with.

ConfigError                  load and build only; collected, printed together, exit 78
GatewayError                 a request's end; `detail` has one reader, the audit trail
├── Rejection                the request's own fault
│   ├── BadRequest           400 408 413 414 415 417 421 422 426 431 501 505 508
│   ├── NoRoute              404
│   ├── MethodNotAllowed     405
│   ├── Unauthenticated      401
│   ├── Forbidden            403
│   ├── Ungranted            403 no upstream credential for this principal, or for what it asks
│   ├── Withheld             403 404 an upstream's answer that may not be seen, or not be looked into
│   └── LimitExceeded        429
├── Failure                  ours, or something we depend on
│   ├── UpstreamUnreachable  502
│   ├── UpstreamTimeout      504
│   ├── UpstreamOverloaded   503
│   ├── DependencyDown       503 store, key set, secret: fail closed
│   └── Unavailable          503 draining, overloaded, audit-full
└── InternalError            500
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.core.reason import STATUS, Reason


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about one place of the configuration. `severity` is "error", "warning" or, of `policy lint`, "info"; `rule` names
    what was looked for, where that has a name (docs/reference/lint.md).
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""
    severity: str = "error"
    rule: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: "
        path = f"{self.path}: " if self.path else ""
        hint = f" ({self.hint})" if self.hint else ""
        mark = "" if self.severity == "error" else f"{self.severity}: "
        return f"{where}{mark}{path}{self.message}{hint}"


@dataclass
class ConfigError(Exception):
    """All problems of a configuration at once. Never raised on a request."""

    problems: list[Problem] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Theft:
    """What a refusal is a sign of, and whose credential it is about, where that is known. Detection tells it, and refuses nobody.

    Replayed is a proof, signature, login or logout token that was used before; reused a rotated token that came again.
    """

    kind: Literal["token.replayed", "token.reused"]
    issuer: str = ""
    subject: str = ""


class GatewayError(Exception):
    """A request's end other than an upstream's answer.

    `detail` goes to the audit trail only, never to the client. `headers` are added to the answer (names lower case,
    e.g. `www-authenticate`), `members` to the problem document. `close` ends the connection after the answer. `document` is
    told as plain JSON in place of a problem document, where a standard wants another one (RFC 6749 5.2). It and `theft` are set
    before it is raised.
    """

    default: Reason = Reason.INTERNAL

    def __init__(
        self,
        detail: str = "",
        *,
        reason: Reason | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        members: Mapping[str, Any] | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.reason: Reason = reason or self.default
        self.status: int = STATUS[self.reason]
        self.headers = headers
        self.members = members
        self.close = close
        self.document: Mapping[str, str] | None = None
        self.theft: Theft | None = None


class Rejection(GatewayError):
    """The request cannot or may not be served."""

    default = Reason.MALFORMED_REQUEST


class BadRequest(Rejection):
    """Not a message we accept."""

    default = Reason.MALFORMED_REQUEST


class NoRoute(Rejection):
    """Nothing here claims that path."""

    default = Reason.NO_ROUTE


class MethodNotAllowed(Rejection):
    """The path exists, not with that method; `headers` carries Allow (RFC 9110 15.5.6)."""

    default = Reason.METHOD_NOT_ALLOWED


class Unauthenticated(Rejection):
    """No credential, or one that fails. `about` is the canonical identity that was tried: an API key's id, a client's id, a login
    name; never a secret, and never what an unverified token claims. `genuine` says that the proof was verified, and what it proves
    is not accepted here, or not again: that is no guess, and nobody can bring it about who has only guesses."""

    default = Reason.CREDENTIAL_INVALID

    def __init__(
        self,
        detail: str = "",
        *,
        reason: Reason | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        members: Mapping[str, Any] | None = None,
        about: str | None = None,
        genuine: bool = False,
    ) -> None:
        super().__init__(detail, reason=reason, headers=headers, members=members)
        self.about = about
        self.genuine = genuine


class Forbidden(Rejection):
    """Known, and not allowed."""

    default = Reason.POLICY_DENIED


class Ungranted(Rejection):
    """Allowed, and there is no upstream credential for this principal, or for what it asks of the upstream."""

    default = Reason.UPSTREAM_CREDENTIAL_MISSING


class Withheld(Rejection):
    """There is an answer, and it may not be seen, or cannot be looked into."""

    default = Reason.RESPONSE_WITHHELD


class LimitExceeded(Rejection):
    """Too often."""

    default = Reason.RATE_LIMITED


class Failure(GatewayError):
    """We, or something we depend on, could not."""

    default = Reason.DEPENDENCY_DOWN


class UpstreamUnreachable(Failure):
    """No connection, a broken one, or an answer that is not HTTP."""

    default = Reason.UPSTREAM_UNREACHABLE


class UpstreamTimeout(Failure):
    """The upstream did not answer in time."""

    default = Reason.UPSTREAM_TIMEOUT


class UpstreamOverloaded(Failure):
    """All connections to the upstream are taken."""

    default = Reason.UPSTREAM_OVERLOADED


class DependencyDown(Failure):
    """A store, key set or secret that the request needs cannot be had: fail closed."""

    default = Reason.DEPENDENCY_DOWN


class Unavailable(Failure):
    """The gateway itself takes no more: draining, overloaded, audit-full."""

    default = Reason.OVERLOADED


class InternalError(GatewayError):
    """A bug in this house: answered blandly, logged fully."""

    default = Reason.INTERNAL
