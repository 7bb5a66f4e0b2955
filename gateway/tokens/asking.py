"""What a client asks a person for at the authorization endpoint, judged (RFC 6749 4.1.1, RFC 7636, RFC 8707, RFC 9449 10).

Until client and redirect URI are known to belong together nothing is sent anywhere (RFC 9700 4.11): `whither` raises BadRequest,
which is told to whoever asks. After that `judged` raises Refused, which is told to the client.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final
from urllib.parse import urlencode, urlsplit

from gateway.core.errors import BadRequest
from gateway.core.reason import Reason
from gateway.tokens.granted import OFFLINE
from gateway.tokens.model import Client
from gateway.tokens.refusals import Refused

LOOPBACK: Final = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::[0-9]{1,5})?((?:/[!-~]*)?)")
"""RFC 8252 7.3: an application takes whatever port it is given."""
STATE: Final = re.compile(r"[ -~]{1,512}")
SHA256: Final = re.compile(r"[A-Za-z0-9_-]{43}")
NUMBER: Final = re.compile(r"[0-9]{1,8}")
WORD: Final = re.compile(r"[!#-\[\]-~]{1,128}")
PROMPTS: Final = frozenset({"none", "login", "consent", "select_account"})
MOST_WORDS: Final = 64
LISTS: Final = frozenset({"resource"})
"""What may come several times."""
Query = Mapping[str, Sequence[str]]


@final
@dataclass(frozen=True, slots=True)
class Whither:
    """Where an answer goes: proved to be a place of that client."""

    client: str
    redirect_uri: str
    state: str | None

    def location(self, issuer: str, answer: Mapping[str, str]) -> str:
        """The redirect URI with an answer in its query (RFC 6749 4.1.2, RFC 9207)."""
        told = {**answer, "iss": issuer, **({} if self.state is None else {"state": self.state})}
        return f"{self.redirect_uri}{'&' if '?' in self.redirect_uri else '?'}{urlencode(told)}"

    @property
    def host(self) -> str:
        """What a person is told of where it leads: the host, or an application's own scheme."""
        parts = urlsplit(self.redirect_uri)
        return parts.netloc if parts.scheme in {"http", "https"} else f"{parts.scheme}:"


@final
@dataclass(frozen=True, slots=True)
class Asking:
    """What it asks for. `challenge` is S256; `jkt` the key that what is issued shall be bound to."""

    whither: Whither
    scopes: tuple[str, ...]
    audiences: tuple[str, ...]
    challenge: str
    jkt: str | None
    prompt: frozenset[str]
    max_age: int | None
    acr_values: tuple[str, ...]


def whither(clients: Mapping[str, Client], query: Query) -> Whither:
    """Raises BadRequest, which must not become a redirect (CVE-2026-41479)."""
    given = {name: query.get(name, ()) for name in ("client_id", "redirect_uri", "state")}
    for name, values in given.items():
        if len(values) > 1:
            raise BadRequest(f"authorize: {name} came more than once", reason=Reason.QUERY_INVALID)
    [name], [to] = given["client_id"] or [""], given["redirect_uri"] or [""]
    client = clients.get(name)
    if client is None or not any(leads(registered, to, any_port=client.auth == "none") for registered in client.redirect_uris):
        raise BadRequest("authorize: no such client, or not a redirect_uri of it", reason=Reason.QUERY_INVALID)
    state = given["state"][0] if given["state"] else None
    if state is not None and not STATE.fullmatch(state):
        raise BadRequest("authorize: state is printable ASCII, at most 512 characters", reason=Reason.QUERY_INVALID)
    return Whither(name, to, state)


def leads(registered: str, asked: str, *, any_port: bool) -> bool:
    """Whether a redirect URI is the registered one: to the character, but for a loopback port of an application."""
    if asked == registered:
        return True
    one, other = LOOPBACK.fullmatch(registered), LOOPBACK.fullmatch(asked)
    return any_port and one is not None and other is not None and one.groups() == other.groups()


def judged(client: Client, to: Whither, query: Query, audience: str) -> Asking:
    """`audience` is that of tokens of clients which name none. Raises Refused with the word that RFC 6749 4.1.2.1 and its likes
    have for what is wrong."""
    if twice := next((name for name, values in query.items() if len(values) > 1 and name not in LISTS), None):
        raise Refused("invalid_request", f"{twice[:40]} came more than once")
    given = {name: values[0] for name, values in query.items()}
    for name in ("request", "request_uri"):
        if name in given:
            raise Refused(f"{name}_not_supported", f"{name} is not supported")
    if given.get("response_type") != "code":
        missing = "response_type" not in given
        raise Refused("invalid_request" if missing else "unsupported_response_type", "response_type is code")
    if given.get("response_mode", "query") != "query":
        raise Refused("invalid_request", "response_mode is query")
    if given.get("code_challenge_method") != "S256" or not SHA256.fullmatch(given.get("code_challenge", "")):
        raise Refused("invalid_request", "PKCE is required: code_challenge with code_challenge_method=S256")
    jkt = given.get("dpop_jkt")
    if jkt is not None and not SHA256.fullmatch(jkt):
        raise Refused("invalid_request", "dpop_jkt is no thumbprint")
    age = given.get("max_age")
    if age is not None and not NUMBER.fullmatch(age):
        raise Refused("invalid_request", "max_age is a number of seconds")
    return Asking(
        to,
        _scopes(client, given),
        _audiences(client.audiences or [audience], query.get("resource", ())),
        given["code_challenge"],
        jkt,
        _prompt(given),
        None if age is None else int(age),
        _words(given, "acr_values"),
    )


def _scopes(client: Client, given: Mapping[str, str]) -> tuple[str, ...]:
    """Those asked for; where none is, those it may have while the person is logged in."""
    asked = _words(given, "scope", "invalid_scope")
    if beyond := [scope for scope in asked if scope not in client.scopes]:
        raise Refused("invalid_scope", f"the client may not have {beyond[0]}")
    if asked == (OFFLINE,) and set(client.scopes) != {OFFLINE}:
        raise Refused("invalid_scope", "offline_access is no right: name those that it is for")
    return asked or tuple(scope for scope in client.scopes if scope != OFFLINE)


def _audiences(allowed: Sequence[str], asked: Sequence[str]) -> tuple[str, ...]:
    """RFC 8707 2: the resources that tokens shall be for; all that are allowed where none is named."""
    if any(resource not in allowed for resource in asked):
        raise Refused("invalid_target", "the client may not have tokens for that resource")
    return tuple(dict.fromkeys(asked)) or tuple(allowed)


def _prompt(given: Mapping[str, str]) -> frozenset[str]:
    """OpenID Connect Core 3.1.2.1."""
    prompt = frozenset(_words(given, "prompt"))
    if not prompt <= PROMPTS or ("none" in prompt and len(prompt) > 1):
        raise Refused("invalid_request", "prompt is none, or of login, consent and select_account")
    return prompt


def _words(given: Mapping[str, str], name: str, error: str = "invalid_request") -> tuple[str, ...]:
    found = tuple(dict.fromkeys(word for word in given.get(name, "").split(" ") if word))
    if len(found) > MOST_WORDS or not all(WORD.fullmatch(word) for word in found):
        raise Refused(error, f"{name} is not what it may be")
    return found
