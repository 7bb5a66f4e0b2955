"""Shows a secret to the upstream, in the form in which requests carry it, through the guarded client of the control plane."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetch
from gateway.core.secret import Secret
from gateway.credentials import model
from gateway.credentials.cookie import cookie_value
from gateway.credentials.header import Basic, bearer
from gateway.credentials.placed import field_value
from gateway.credentials.query import escaped

LONGEST: Final = 1024 * 1024
ATTEMPT: Final = 10.0
"""Seconds that one question may take."""
PAUSES: Final = (0.5, 1.0, 2.0, 4.0)

Rotating = model.Bearer | model.Basic | model.Header | model.Query | model.Cookie
"""Credentials whose secret goes out as it is. What signs, or is minted anyway, has other ways to be replaced."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the upstream is: `url` without a slash at its end, and the header fields that every request there has."""

    url: str
    allow_plaintext: bool = False
    allow_private: bool = False
    ca: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Trial:
    """Asks whether a secret counts."""

    def __init__(self, credential: Rotating, target: Target, path: str, status: int, fetch: Fetch) -> None:
        self._credential = credential
        self._target = target
        self._path = path
        self._status = status
        self._fetch = fetch

    async def passes(self, secret: Secret, within: float, monotonic: Callable[[], float]) -> str:
        """Ask until it counts, or so many seconds are over; why it does not, "" where it does. Raises nothing."""
        end, pauses = monotonic() + within, iter(PAUSES)
        while True:
            wrong = await self.once(secret)
            pause = next(pauses, PAUSES[-1])
            if not wrong or monotonic() + pause >= end:
                return wrong
            await asyncio.sleep(pause)

    async def once(self, secret: Secret | None) -> str:
        """One question, without any credential where there is no secret; why the answer is another, "" where it is the expected."""
        try:
            headers, query = ({}, "") if secret is None else shown(self._credential, secret)
        except ValueError as error:
            return str(error)
        joint = "&" if "?" in self._path else "?"
        try:
            answer = await self._fetch.get(
                self._target.url + self._path + (joint + query if query else ""),
                limit=LONGEST,
                timeout=ATTEMPT,
                allow_plaintext=self._target.allow_plaintext,
                allow_private=self._target.allow_private,
                ca=self._target.ca,
                headers={**self._target.headers, **headers},
            )
        except DependencyDown as error:
            return f"the upstream cannot be asked: {error.detail}"
        return "" if answer.status == self._status else f"the upstream answered {answer.status} instead of {self._status}"


def shown(credential: Rotating, secret: Secret) -> tuple[dict[str, str], str]:
    """Header fields and the query parameter that carry a secret. Raises ValueError for one that they cannot, not naming it."""
    raw = secret.reveal()
    match credential:
        case model.Bearer():
            return {"authorization": bearer(raw).decode("ascii")}, ""
        case model.Basic():
            return {"authorization": Basic(credential.username)(raw).decode("ascii")}, ""
        case model.Header():
            return {credential.name: field_value(raw).decode("ascii")}, ""
        case model.Cookie():
            return {"cookie": f"{credential.name}={cookie_value(raw).decode('ascii')}"}, ""
        case model.Query():
            return {}, f"{escaped(credential.name.encode()).decode('ascii')}={escaped(raw).decode('ascii')}"
