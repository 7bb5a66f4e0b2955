"""Which credential a request presents: the one list of places a client's credential may be carried in (CONTRACT 3)."""

from collections.abc import Iterable
from typing import Final, final

from gateway.core.errors import BadRequest, Forbidden, Unauthenticated
from gateway.core.message import Request
from gateway.core.origin import own_origin
from gateway.core.placeholders import SIGV4_CREDENTIAL, is_placeholder
from gateway.core.reason import Reason

AUTHORIZATION: Final = b"authorization"
COOKIE: Final = b"cookie"
UPGRADE: Final = b"upgrade"
TOKENS: Final = {b"bearer": False, b"dpop": True}
"""RFC 6750 2.1, RFC 9449 7.1: a scheme without regard to case, spaces, one token; whether the token comes with a proof."""
JWT: Final = (b"Bearer ey", b"bearer ey")
"""How a token begins, written as all write it (RFC 7519 3.1): what is no placeholder at a glance."""
BESIDE: Final = {b"signature-input": b"signature"}
"""Fields that are part of a credential which another one presents (RFC 9421 4)."""
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""RFC 9110 9.2.1, without TRACE, which is not served."""
HIDDEN: Final = b"null"
"""The Origin of a form on a page with `Referrer-Policy: no-referrer`, our default (Fetch 3.2.5), and of pages that have no origin:
as good as not sent, `Sec-Fetch-Site` tells them apart."""


Presented = tuple[bytes, bytes, bool]
"""A credential as it was presented: the header's or cookie's name, the value, whether it is a cookie."""


@final
class Places:
    """The headers and cookies in which credentials are looked for. The upstream is told none of them."""

    def __init__(self, key_header: str | None, cookies: Iterable[str], signed: Iterable[bytes] = ()) -> None:
        """`signed` are the fields, lower case, in which requests present signatures."""
        self.key_header = key_header.lower().encode() if key_header is not None else None
        self.cookies = frozenset(cookie.encode() for cookie in cookies)
        self.signed = frozenset(signed)
        self.headers = (
            frozenset({AUTHORIZATION, self.key_header or AUTHORIZATION})
            | self.signed
            | {BESIDE[name] for name in self.signed if name in BESIDE}
        )

    def find(self, request: Request) -> Presented | None:
        """The one credential in headers and cookies, None when there is none. Raises BadRequest when there are several."""
        fields = request.head.fields
        found: Presented | None = None
        value = fields.get(AUTHORIZATION)
        if value is not None and (value[:9] in JWT or not is_placeholder(value)):
            found = (AUTHORIZATION, value, False)
        if self.key_header is not None and self.key_header in fields and self.key_header != AUTHORIZATION:
            if found is not None:
                raise ambiguous()
            found = (self.key_header, fields[self.key_header], False)
        if self.signed and not self.signed.isdisjoint(fields):
            for name in self.signed:
                if name in fields:
                    if found is not None:
                        raise ambiguous()
                    found = (name, fields[name], False)
        if request.head.repeated and not request.head.repeated.isdisjoint(self.headers):
            raise ambiguous()
        if self.cookies and COOKIE in fields:
            found = self._with_cookies(request, found)
        return found

    def _with_cookies(self, request: Request, found: Presented | None) -> Presented | None:
        for name, value in _cookies(request):
            if name in self.cookies:
                if found is not None:
                    raise ambiguous()
                found = (name, value, True)
        return found


def ambiguous() -> BadRequest:
    return BadRequest("more than one credential", reason=Reason.CREDENTIAL_AMBIGUOUS)


def key_id(value: bytes) -> bytes:
    """An API key where Amazon's SDKs, which know no Bearer, carry the access key id. Raises Unauthenticated.

    It counts as a Bearer value does; the signature, made with a secret that nobody here knows, says nothing.
    """
    if not value.startswith(SIGV4_CREDENTIAL):
        raise Unauthenticated("authorization: neither a Bearer credential nor an API key in an AWS signature")
    return value[len(SIGV4_CREDENTIAL) :].partition(b"/")[0]


def check_origin(request: Request) -> None:
    """A cookie is sent by the browser, whoever asked it to: a write must come from this very origin.

    What `Origin` and `Sec-Fetch-Site` say must agree where both are sent; without either nothing is proved. An upgrade reads and
    writes: of which origins it may come its route says (edge.websocket), that it says so is asked here. Raises Forbidden.
    """
    origin, site = request.head.fields.get(b"origin"), request.head.fields.get(b"sec-fetch-site")
    if request.method in SAFE and (origin is not None or UPGRADE not in request.head.fields):
        return
    if origin == HIDDEN:
        origin = None
    if origin is None and site is None:
        raise Forbidden("a write with a cookie needs Origin or Sec-Fetch-Site", reason=Reason.ORIGIN_DENIED)
    if b"origin" in request.head.repeated or b"sec-fetch-site" in request.head.repeated:
        raise Forbidden("Origin or Sec-Fetch-Site repeated", reason=Reason.ORIGIN_DENIED)
    if site is not None and site != b"same-origin":
        raise Forbidden("cross-site write with a cookie", reason=Reason.ORIGIN_DENIED)
    if origin is not None and origin.decode("latin-1").lower() != own_origin(request.head):
        raise Forbidden("write with a cookie from another origin", reason=Reason.ORIGIN_DENIED)


def _cookies(request: Request) -> Iterable[tuple[bytes, bytes]]:
    """All cookies of all Cookie fields, names as sent (RFC 6265 5.4; names are case-sensitive)."""
    for field, value in request.head.headers:
        if field == COOKIE:
            for pair in value.split(b";"):
                name, separator, content = pair.partition(b"=")
                if separator:
                    yield name.strip(b" \t"), content.strip(b" \t")
