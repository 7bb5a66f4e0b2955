"""What the portal's endpoints have in common: where each is, and how forms and queries are read."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from html import escape
from typing import Final, NamedTuple

from gateway.authn.login.logins import NOT_KEPT
from gateway.core.errors import BadRequest
from gateway.core.exchange import Exchange
from gateway.core.form import decode_query
from gateway.core.message import Field, Request, Response
from gateway.core.reason import Reason

Asked = Callable[[Request, Exchange], Awaitable[Response]]
FORM: Final = b"application/x-www-form-urlencoded"
MOST_FORM: Final = 64 * 1024
MOST_WORDS: Final = 16
MOST_PAIRS: Final = 64


class Place(NamedTuple):
    """One endpoint: its path, below the prefix unless it begins with a slash; its method, and what answers."""

    path: str
    method: str
    asked: Asked


def query(request: Request) -> dict[str, list[str]]:
    """The parameters of a query. Raises BadRequest."""
    return decode_query(request.query or b"", MOST_PAIRS)


def is_form(request: Request) -> bool:
    """Whether the body is a form, as far as is said."""
    return request.head.fields.get(b"content-type", FORM).split(b";")[0].strip().lower() == FORM


async def form(request: Request) -> dict[str, list[str]]:
    """The fields of a form. Raises BadRequest."""
    if not is_form(request):
        raise BadRequest("a form is expected", reason=Reason.MEDIA_TYPE)
    return decode_query(await request.body.read(MOST_FORM), MOST_PAIRS)


def single(query: Mapping[str, Sequence[str]], name: str) -> str | None:
    """The one value of a name, None where there is none. Raises BadRequest query-invalid for several."""
    values = query.get(name, ())
    if len(values) > 1:
        raise BadRequest(f"{name} came more than once", reason=Reason.QUERY_INVALID)
    return values[0] if values else None


def words(query: Mapping[str, Sequence[str]], name: str, pattern: str, most: int = MOST_WORDS) -> tuple[str, ...]:
    """At most `most` words between spaces. Raises BadRequest query-invalid."""
    found = tuple((single(query, name) or "").split())
    if len(found) > most or not all(re.fullmatch(pattern, word) for word in found):
        raise BadRequest(f"{name} is not what it may be", reason=Reason.QUERY_INVALID)
    return found


def page(title: str, body: str, fields: Sequence[Field], *, head: str = "") -> Response:
    """A page without scripts. `body` and `head` are markup, escaped already."""
    begin = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>{head}</head>'
    text = f"{begin}<body>{body}</body></html>"
    return Response(200, [(b"content-type", b"text/html; charset=utf-8"), *fields, *NOT_KEPT], text.encode())


def onward(title: str, location: str, fields: Sequence[Field]) -> Response:
    """A page that leads on by itself. A form is answered with this, not with a redirect to another origin: `form-action 'self'`,
    our default on all pages, would stop that one (CSP 3 6.4.1). So is whoever shall bring along a strict cookie."""
    refresh = f'<meta http-equiv="refresh" content="0;url={escape(location)}">'
    return page(title, f'<p><a href="{escape(location)}">Go on</a></p>', fields, head=refresh)
