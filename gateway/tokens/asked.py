"""What was asked of the token endpoint, read strictly."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.authn.login.model import SCOPE
from gateway.core.errors import BadRequest
from gateway.core.exchange import Exchange
from gateway.core.form import decode_query
from gateway.core.message import Request
from gateway.core.principal import Identity
from gateway.tokens import errors
from gateway.tokens.clients import Client
from gateway.tokens.errors import bad

FORM: Final = b"application/x-www-form-urlencoded"
LONGEST: Final = 64 * 1024
MOST: Final = 64
MOST_WORDS: Final = 64
REPEATED: Final = frozenset({"audience", "resource"})
"""RFC 8693 2.1 and RFC 8707 2: the only parameters that may come more than once."""
TARGET: Final = r"[!-~]{1,512}"
ROUTE: Final = r"[A-Za-z0-9._*-]{1,128}"
NUMBER: Final = r"[1-9][0-9]{0,8}"


class Form:
    """The parameters of one request. An empty one counts as absent (RFC 6749 3.2)."""

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        """Raises BadRequest invalid_request for a parameter that came twice."""
        if twice := [name for name, each in values.items() if len(each) > 1 and name not in REPEATED]:
            raise bad("invalid_request", f"{_shown(twice[0])} came more than once")
        self._values = {name: found for name, each in values.items() if (found := [value for value in each if value])}

    def get(self, name: str) -> str | None:
        """The value of a parameter that comes once."""
        return next(iter(self._values.get(name, ())), None)

    def need(self, name: str) -> str:
        """Raises BadRequest invalid_request."""
        value = self.get(name)
        if value is None:
            raise bad("invalid_request", f"{name} is missing")
        return value

    def all(self, name: str, pattern: str = TARGET) -> list[str]:
        """The values of one that may come several times. Raises BadRequest invalid_target."""
        found = self._values.get(name, [])
        if len(found) > MOST_WORDS or not all(re.fullmatch(pattern, value) for value in found):
            raise bad("invalid_target", f"{name} is not what it may be")
        return found

    def words(self, name: str, pattern: str = SCOPE) -> list[str] | None:
        """Words between spaces, each once; None where there is no such parameter. Raises BadRequest."""
        value = self.get(name)
        if value is None:
            return None
        found = list(dict.fromkeys(value.split(" ")))
        if len(found) > MOST_WORDS or not all(re.fullmatch(pattern, word) for word in found):
            raise bad("invalid_scope" if name == "scope" else "invalid_request", f"{name} is not what it may be")
        return found

    def number(self, name: str) -> int | None:
        """Raises BadRequest invalid_request."""
        value = self.get(name)
        if value is not None and not re.fullmatch(NUMBER, value):
            raise bad("invalid_request", f"{name} is a whole number from 1")
        return None if value is None else int(value)

    def __contains__(self, name: str) -> bool:
        return name in self._values


@dataclass(slots=True)
class Asked:
    """One request for a token: by a client, or by the holder of an API key (`holder`), never both.

    `key` names the API key and what it gives. `confirmation` is what the token will be bound to: the key of a proof that came
    along, or the client's certificate; `unspent` uses that proof up.
    """

    form: Form
    request: Request
    exchange: Exchange
    client: Client | None
    holder: Identity | None = None
    key: str | None = None
    confirmation: Mapping[str, str] = field(default_factory=dict)
    unspent: Callable[[], Awaitable[None]] | None = None

    async def prove(self) -> None:
        """Use up the proof that came along, where nobody did yet. Raises GatewayError for one that was used before."""
        spend, self.unspent = self.unspent, None
        if spend is not None:
            await spend()


Handler = Callable[[Asked], Awaitable[dict[str, Any]]]
"""Answers one `grant_type`: the members of the answer (RFC 6749 5.1)."""


async def form(request: Request) -> Form:
    """The form of a request. Raises BadRequest."""
    if request.query:
        raise bad("invalid_request", "parameters come in the body, none in the URL")
    if request.head.fields.get(b"content-type", b"").split(b";")[0].strip().lower() != FORM:
        raise bad("invalid_request", "the body is application/x-www-form-urlencoded")
    raw = await request.body.read(LONGEST)
    try:
        return Form(decode_query(raw, MOST))
    except BadRequest as error:
        raise error if error.document else errors.told(error, "invalid_request", "the form cannot be read") from error


def _shown(name: str) -> str:
    return name if re.fullmatch(r"[a-z_]{1,64}", name) else "a parameter"
