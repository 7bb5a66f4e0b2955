"""Who may use the admin listener: no names but its own (DNS rebinding), no browsers' origins but its own, the token, a session."""

import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers

from gateway.admin.places import Needs
from gateway.authn.login.cookies import Cookie
from gateway.core.errors import BadRequest, Forbidden, GatewayError, Unauthenticated
from gateway.core.ports import SecretSource
from gateway.core.reason import Reason
from gateway.operators.account import Role
from gateway.operators.sessions import Session

if TYPE_CHECKING:
    from gateway.operators.office import Office

LOCAL: Final = frozenset(("localhost",))
COOKIE: Final = Cookie("gateway-operator", "strict")
DEVICE: Final = Cookie("gateway-operator-device", "strict")
CSRF: Final = "x-csrf-token"
SAFE: Final = frozenset(("GET", "HEAD"))
CHALLENGE: Final = ((b"www-authenticate", b'Bearer realm="gateway-admin"'),)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks, as the audit trail names him. `session` is there for operators with an account."""

    name: str
    role: Role | None
    session: Session | None = None
    limited: bool = False


NOBODY: Final = Actor("", None)
BY_TOKEN: Final = Actor("admin token", "operator")
BY_SOCKET: Final = Actor("unix socket", "operator")


class Access:
    """The rules of one admin listener. `token` None: protected paths only where `local` (a unix socket) is true, or in a session of
    `office`, which is None where no operators are configured."""

    def __init__(self, *, hosts: Iterable[str], token: SecretSource | None, local: bool, office: "Office | None" = None) -> None:
        self.office = office
        names = [*hosts, *([office.model.host] if office is not None else [])]
        self._hosts = frozenset(host.lower() for host in names) | LOCAL
        self._token = token
        self._local = local

    async def admit(self, method: str, needs: Needs | None, headers: Headers, client: str = "") -> Actor:
        """Who asks, where he may. `client` is an address, "" on a unix socket. Raises BadRequest, Unauthenticated, Forbidden and
        DependencyDown."""
        if len(headers.getlist("host")) != 1 or not self._names_us(headers["host"]):
            raise BadRequest("Host", reason=Reason.MISDIRECTED)
        if needs == "return":
            return NOBODY
        if not self._is_ours(headers):
            raise Forbidden("a browser's cross-origin request", reason=Reason.ORIGIN_DENIED)
        if needs == "nothing":
            return NOBODY
        actor = await self._actor(method, headers, client)
        self._judge(actor, needs)
        return actor

    def _is_ours(self, headers: Headers) -> bool:
        """No other origin's page asks, nor lets a browser ask."""
        origins = headers.getlist("origin")
        own = self.office is not None and origins == [self.office.model.canonical]
        return (own or not origins) and headers.get("sec-fetch-site", "none") in ("none", "same-origin")

    async def _actor(self, method: str, headers: Headers, client: str) -> Actor:
        values = presented(headers, COOKIE) if self.office is not None else []
        authorization = headers.getlist("authorization")
        if len(values) > 1 or (values and authorization):
            raise BadRequest("more than one credential", reason=Reason.CREDENTIAL_AMBIGUOUS)
        if self.office is None or not values:
            return self._without_session(authorization, client)
        try:
            standing = await self.office.standing(values[0])
        except Unauthenticated as error:
            error.headers = (*CHALLENGE, COOKIE.clear())
            raise
        session = standing.session
        given = headers.get(CSRF, "").encode("utf-8", "replace")
        if method not in SAFE and not hmac.compare_digest(session.csrf.encode(), given):
            raise Forbidden("operators: no X-CSRF-Token of this session", reason=Reason.ORIGIN_DENIED)
        return Actor(session.name, session.role, session, standing.limited)

    def _judge(self, actor: Actor, needs: Needs | None) -> None:
        if needs == "session" and actor.session is not None:
            return
        if needs == "session":
            raise Forbidden("operators: only in a session of one's own", reason=Reason.POLICY_DENIED)
        if actor.limited:
            raise Forbidden("operators: another password first", reason=Reason.POLICY_DENIED, members={"must_change": True})
        if needs is None or (needs == "operator" and actor.role != "operator"):
            raise Forbidden("operators: the role does not allow it", reason=Reason.POLICY_DENIED)

    def _without_session(self, authorization: list[str], client: str) -> Actor:
        if self._local and self._token is None:
            return BY_SOCKET
        error = self._token_refusal(authorization)
        if error is None:
            return BY_TOKEN
        if self.office is not None:
            self.office.wrong_token(client, error)
        raise error

    def _names_us(self, host: str) -> bool:
        """An address cannot be rebound; a name must be one of ours."""
        name = host.strip().lower()
        name = name[1:].partition("]")[0] if name.startswith("[") else name.rpartition(":")[0] if ":" in name else name
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts or (self._local and not name)
        return True

    def _token_refusal(self, authorization: list[str]) -> GatewayError | None:
        if self._token is None and self.office is None:
            return Forbidden("no admin token is configured: use a unix socket", reason=Reason.POLICY_DENIED)
        if not authorization or self._token is None:
            return Unauthenticated("no token", reason=Reason.CREDENTIAL_MISSING, headers=CHALLENGE)
        scheme, _, presented = authorization[0].partition(" ")
        secret = self._token.current()
        if len(authorization) > 1 or scheme.lower() != "bearer" or not secret.matches(presented.strip().encode("utf-8", "replace")):
            return Unauthenticated("wrong token", headers=CHALLENGE)
        return None


def presented(headers: Headers, cookie: Cookie) -> list[str]:
    """Every value of a cookie that a request carries."""
    return [value.decode("latin-1") for value in cookie.values(field.encode("latin-1") for field in headers.getlist("cookie"))]
