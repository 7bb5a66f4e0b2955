"""Cross-origin requests: which web pages a browser lets read our answers (the Fetch standard's CORS protocol).

Only origins the configuration lists are ever named in an answer. What an upstream says about origins is removed by `finish`
on every route, with or without a policy here: the policy of the gateway's host is the gateway's alone.
"""

import re
from typing import Final

from gateway.core.errors import Forbidden
from gateway.core.message import Field, Request, Response
from gateway.core.reason import Reason
from gateway.edge import model

ANY: Final = "*"
MAX_ORIGIN: Final = 512
VARY: Final = (b"vary", b"Origin")
PREFLIGHT_VARY: Final = (b"vary", b"Access-Control-Request-Method, Access-Control-Request-Headers")
LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
ORIGIN: Final = re.compile(
    rf"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<any>\*\.)?(?P<host>{LABEL}(?:\.{LABEL})*\.?|\[[0-9a-f:.]+\])(?::(?P<port>[1-9][0-9]{{0,4}}))?",
    re.ASCII,
)
"""Of any scheme: pages of hybrid apps and browser extensions have an origin like capacitor://localhost (RFC 6454 4, 6.2)."""
DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


def pattern(text: str) -> "re.Pattern[bytes] | bytes":
    """A configured origin: its bytes, or for `https://*.example.com` what matches one or more labels before it.

    Compared as browsers write origins: lower case, without the scheme's default port. Raises ValueError.
    """
    found = ORIGIN.fullmatch(text.lower())
    if found is None:
        raise ValueError(f"not an origin: {text!r}; one is written like https://app.example.com or https://*.example.com")
    scheme, host, port = found["scheme"], found["host"], found["port"]
    tail = f":{port}" if port and port != DEFAULT_PORTS.get(scheme) else ""
    if not found["any"]:
        return f"{scheme}://{host}{tail}".encode()
    if "." not in host.rstrip("."):
        raise ValueError(f"too wide: {text!r} would match a whole top-level domain")
    return re.compile(rf"{re.escape(scheme)}://(?:{LABEL}\.)+{re.escape(host + tail)}".encode())


class Cors:
    """One policy, compiled; of None: no page may read anything, and a preflight is an ordinary request.

    Raises ValueError for an origin that is none, and for "*" together with credentials.
    """

    __slots__ = ("_enforce", "_every", "_exact", "_fields", "_patterns", "_preflight", "answers")

    def __init__(self, config: model.Cors | None) -> None:
        self.answers = config is not None
        """Whether preflights are answered here."""
        origins = config.origins if config is not None else []
        self._every = ANY in origins
        if config is not None and self._every and config.credentials:
            raise ValueError('origins: "*" together with credentials would open every account to every page')
        patterns = [pattern(origin) for origin in origins if origin != ANY]
        self._exact = frozenset(each for each in patterns if isinstance(each, bytes))
        self._patterns = tuple(each for each in patterns if not isinstance(each, bytes))
        self._enforce = config is not None and config.enforce
        self._fields = granted(config) if config is not None else ()
        self._preflight = preflight_fields(config) if config is not None else ()

    def allows(self, origin: bytes) -> bytes | None:
        """The value of Access-Control-Allow-Origin for an Origin, None where it is not listed.

        "null" never is: any sandboxed frame and local file has it.
        """
        if len(origin) > MAX_ORIGIN or origin == b"null":
            return None
        if self._every:
            return b"*"
        origin = origin.lower()
        if origin in self._exact:
            return origin
        for each in self._patterns:
            if each.fullmatch(origin):
                return origin
        return None

    def fields(self, origin: bytes | None) -> list[Field]:
        """The fields every answer of the route carries, refusals too: without them a browser hides the reason from its page.

        Vary is there whatever the Origin, as the answer depends on it (Fetch standard, "CORS protocol and HTTP caches").
        """
        if not self.answers:
            return []
        allowed = self.allows(origin) if origin is not None else None
        if allowed is None:
            return [VARY]
        return [VARY, (b"access-control-allow-origin", allowed), *self._fields]

    def preflight(self, request: Request) -> Response | None:
        """The answer to a preflight, None for any other request.

        It lists the methods and headers that are allowed, whatever was asked for; `fields` adds the origin. Raises Forbidden
        (origin-denied) for an Origin that is not listed.
        """
        fields = request.head.fields
        if not self.answers or request.method != "OPTIONS":
            return None
        if b"origin" not in fields or b"access-control-request-method" not in fields:
            return None
        self._demand(request)
        return Response(204, list(self._preflight))

    def check(self, request: Request) -> None:
        """Where the policy is enforced, raises Forbidden (origin-denied) for a request of an Origin that is not listed."""
        if self._enforce and b"origin" in request.head.fields:
            self._demand(request)

    def _demand(self, request: Request) -> None:
        if b"origin" in request.head.repeated or self.allows(request.head.fields[b"origin"]) is None:
            raise Forbidden("origin is not listed", reason=Reason.ORIGIN_DENIED)


def granted(config: model.Cors) -> tuple[Field, ...]:
    """What a listed origin is told besides its name."""
    fields: list[Field] = []
    if config.credentials:
        fields.append((b"access-control-allow-credentials", b"true"))
    if config.expose:
        fields.append((b"access-control-expose-headers", ", ".join(config.expose).encode("ascii")))
    return tuple(fields)


def preflight_fields(config: model.Cors) -> tuple[Field, ...]:
    """What a preflight of a listed origin is told."""
    fields: list[Field] = [
        PREFLIGHT_VARY,
        (b"access-control-allow-methods", ", ".join(config.methods).encode("ascii")),
        (b"access-control-max-age", b"%d" % config.max_age),
    ]
    if config.headers:
        fields.append((b"access-control-allow-headers", ", ".join(config.headers).encode("ascii")))
    return tuple(fields)
