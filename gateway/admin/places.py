"""Who may what on the admin listener: every endpoint with what it needs. What stands in no line is nobody's."""

from typing import Final, Literal

Needs = Literal["nothing", "return", "session", "viewer", "operator"]
"""`return`: nothing, and a provider's site may send the browser there; `session`: any operator's own, also one that has to choose
another password first."""

NEEDS: Final[dict[tuple[str, str], Needs]] = {
    ("GET", "/livez"): "nothing",
    ("GET", "/readyz"): "nothing",
    ("GET", "/healthz"): "nothing",
    ("GET", "/metrics"): "nothing",
    ("GET", "/config_dump"): "viewer",
    ("GET", "/routes"): "viewer",
    ("GET", "/blocks"): "viewer",
    ("DELETE", "/blocks"): "operator",
    ("GET", "/loglevel"): "viewer",
    ("PUT", "/loglevel"): "operator",
    ("GET", "/sessions"): "viewer",
    ("DELETE", "/sessions"): "operator",
    ("DELETE", "/sessions/{name}"): "operator",
    ("POST", "/operators/login"): "nothing",
    ("POST", "/operators/bootstrap"): "nothing",
    ("GET", "/operators/oidc"): "nothing",
    ("GET", "/operators/oidc/callback"): "return",
    ("GET", "/operators/me"): "session",
    ("POST", "/operators/logout"): "session",
    ("POST", "/operators/password"): "session",
    ("POST", "/operators/totp"): "session",
    ("POST", "/operators/totp/confirm"): "session",
    ("DELETE", "/operators/totp"): "session",
    ("POST", "/operators/recovery"): "session",
    ("GET", "/operators/webauthn"): "session",
    ("POST", "/operators/webauthn"): "session",
    ("POST", "/operators/webauthn/confirm"): "session",
    ("DELETE", "/operators/webauthn/{key}"): "session",
    ("GET", "/operators"): "operator",
    ("POST", "/operators"): "operator",
    ("POST", "/operators/{name}/disable"): "operator",
    ("POST", "/operators/{name}/enable"): "operator",
    ("POST", "/operators/{name}/role"): "operator",
    ("POST", "/operators/{name}/reset"): "operator",
}


def needs(method: str, path: str) -> Needs | None:
    """What a request to an endpoint needs; None: nothing is enough."""
    return NEEDS.get(("GET" if method == "HEAD" else method, path))
