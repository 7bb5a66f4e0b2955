"""The pages on which people see, make and end their connections. No scripts; what others wrote is escaped."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final, NamedTuple

from gateway.core.message import Field, Response
from gateway.credentials.grants.grant import Grant
from gateway.portal.asked import page
from gateway.portal.uses import Uses
from gateway.portal.visits import FIELD

MOST_ROUTES: Final = 200
GUARDED: Final = (
    (b"content-security-policy", b"default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"deny"),
)
"""Where the configuration has no headers of that name. A frame could be laid under somebody's click."""


class Connection(NamedTuple):
    """One provider as one person sees it. `state` is connected, broken, none or unknown (it cannot be read now)."""

    provider: str
    title: str
    state: str
    grant: Grant | None
    url: str

    def told(self) -> dict[str, object]:
        """The same for programs. Never a token."""
        grant, said = self.grant, {"provider": self.provider, "title": self.title, "state": self.state, "connect_url": self.url}
        if grant is None:
            return dict(said)
        about = {"account": grant.account or None, "name": grant.name or None, "scopes": list(grant.scopes)}
        times = {"connected_at": second(grant.created_at), "expires_at": second(grant.expires_at)}
        return {**said, **about, **times, "problem": grant.problem or None}


def listing(who: str, connections: Sequence[Connection], token: str, fields: Sequence[Field] = ()) -> Response:
    """All of them, with what can be done about each."""
    rows = "".join(_row(each, token) for each in connections)
    table = f"<table><tr><th>Provider</th><th>State</th><th>Account</th><th>May</th><th></th></tr>{rows}</table>"
    note = "<p>What you disconnect is forgotten here at once, and ended at the provider where it offers that.</p>"
    return page("Connections", f"<h1>Connections of {escape(who)}</h1>{table}{note}", [*GUARDED, *fields])


def _row(each: Connection, token: str) -> str:
    grant, url = each.grant, escape(each.url)
    account = escape(f"{grant.name or 'unknown'} ({grant.account})" if grant and grant.account else "unknown" if grant else "")
    may = escape(" ".join(grant.scopes) or "not told") if grant else ""
    state = each.state + (f": {grant.problem}" if grant and grant.problem else "")
    link = f'<a href="{url}">{"connect" if each.state == "none" else "connect anew"}</a>'
    end = "" if each.state == "none" else _form(f"{url.rpartition('/')[0]}/disconnect", token, "Disconnect")
    cells = [escape(each.title), escape(state), account, may, f"{link} {end}"]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def consent(who: str, title: str, uses: Uses, scopes: Sequence[str], people: Sequence[str], forms: Sequence[str]) -> Response:
    """What a person agrees to, before anything is asked of the provider."""
    asked = "".join(f"<li><code>{escape(scope)}</code></li>" for scope in scopes) or "<li>what the provider gives by itself</li>"
    rows = "".join(
        f"<tr><td>{escape(use.route)}</td><td>{escape(use.methods)}</td><td>{escape(use.path)}</td><td>{escape(use.to)}</td></tr>"
        for use in uses.routes[:MOST_ROUTES]
    )
    left = len(uses.routes) - MOST_ROUTES
    more = f"<p>and {left} more</p>" if left > 0 else ""
    table = f"<table><tr><th>Route</th><th>Requests</th><th>Path here</th><th>Sent to</th></tr>{rows}</table>{more}"
    others = f"<p>Also where you show a token of {escape(', '.join(people))} instead.</p>" if people else ""
    body = (
        f"<h1>Connect {escape(title)}</h1><p>You are {escape(who)}. The gateway will send requests with your account at "
        f"{escape(title)}: yours and nobody else's, on these routes.</p>{table}{others}"
        f"<p>It asks {escape(title)} for:</p><ul>{asked}</ul>"
        "<p>The token stays in the gateway, sealed. No page, program or person is shown it, and you can end it at any time.</p>"
        f"{''.join(forms)}"
    )
    return page(f"Connect {title}", body, list(GUARDED))


def agreeing(url: str, token: str, title: str, hidden: Mapping[str, str]) -> str:
    """The form that begins."""
    return _form(escape(url), token, f"Go on to {title}", hidden)


def typing(url: str, token: str, title: str) -> str:
    """The form for a token that somebody made himself."""
    field = (
        '<label>Or keep a token that you made yourself <input type="password" name="token" autocomplete="off" required></label> '
    )
    return _form(escape(url), token, f"Keep this token of {title}", inner=field)


def _form(url: str, token: str, label: str, hidden: Mapping[str, str] | None = None, inner: str = "") -> str:
    """`url` and `inner` are markup, escaped already."""
    values = {FIELD: token, **(hidden or {})}
    inputs = "".join(f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in values.items())
    return f'<form method="post" action="{url}">{inputs}{inner}<button type="submit">{escape(label)}</button></form>'


def second(time: float | None) -> str | None:
    return None if time is None else datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")
