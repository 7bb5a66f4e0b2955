"""Who may use the admin listener: no names but its own (DNS rebinding), no browsers' origins, and the token."""

import ipaddress
from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers

from gateway.core.errors import BadRequest, DependencyDown, Forbidden, GatewayError, Unauthenticated
from gateway.core.ports import SecretSource
from gateway.core.reason import Reason

OPEN: Final = frozenset(("/livez", "/readyz", "/healthz", "/metrics"))
LOCAL: Final = frozenset(("localhost",))


class Access:
    """The rules of one admin listener. `token` None: protected paths only where `local` (a unix socket) is true."""

    def __init__(self, *, hosts: Iterable[str], token: SecretSource | None, local: bool) -> None:
        self._hosts = frozenset(host.lower() for host in hosts) | LOCAL
        self._token = token
        self._local = local

    def refusal(self, path: str, headers: Headers) -> GatewayError | None:
        """Why this request is not answered, or None."""
        if len(headers.getlist("host")) != 1 or not self._names_us(headers["host"]):
            return BadRequest("Host", reason=Reason.MISDIRECTED)
        if "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return Forbidden("a browser's cross-origin request", reason=Reason.ORIGIN_DENIED)
        if path in OPEN or (self._local and self._token is None):
            return None
        return self._token_refusal(headers.getlist("authorization"))

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
        challenge = ((b"www-authenticate", b'Bearer realm="gateway-admin"'),)
        if self._token is None:
            return Forbidden("no admin token is configured: use a unix socket", reason=Reason.POLICY_DENIED)
        if not authorization:
            return Unauthenticated("no token", reason=Reason.CREDENTIAL_MISSING, headers=challenge)
        scheme, _, presented = authorization[0].partition(" ")
        try:
            secret = self._token.current()
        except DependencyDown as error:
            return error
        if len(authorization) > 1 or scheme.lower() != "bearer" or not secret.matches(presented.strip().encode("utf-8", "replace")):
            return Unauthenticated("wrong token", headers=challenge)
        return None
