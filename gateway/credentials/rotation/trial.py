"""Asks whether a secret counts: the provider, or the upstream in the form in which requests carry it, through the guarded client of
the control plane."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetch
from gateway.core.secret import Secret
from gateway.credentials.rotation.model import Verify
from gateway.credentials.rotation.shown import Rotating, shown

LONGEST: Final = 1024 * 1024
ATTEMPT: Final = 10.0
"""Seconds that one question may take."""
PAUSES: Final = (0.5, 1.0, 2.0, 4.0)

Ask = Callable[[Secret | None], Awaitable[str]]
"""One question, without any credential where there is no secret; why the answer is another, "" where it is the expected one.
Raises nothing."""


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

    def __init__(self, once: Ask) -> None:
        self.once = once

    async def passes(self, secret: Secret, within: float, monotonic: Callable[[], float]) -> str:
        """Ask until it counts, or so many seconds are over; why it does not, "" where it does. Raises nothing."""
        end, pauses = monotonic() + within, iter(PAUSES)
        while True:
            wrong = await self.once(secret)
            pause = next(pauses, PAUSES[-1])
            if not wrong or monotonic() + pause >= end:
                return wrong
            await asyncio.sleep(pause)


class Upstream:
    """The upstream that requests go to, and what it answers where a secret counts. Implements `Ask`."""

    def __init__(self, credential: Rotating, target: Target, verify: Verify, fetch: Fetch, now: Callable[[], float]) -> None:
        self._credential = credential
        self._target = target
        self._verify = verify
        self._fetch = fetch
        self._now = now

    async def __call__(self, secret: Secret | None) -> str:
        url = self._target.url + self._verify.path
        try:
            url, headers = (url, {}) if secret is None else shown(self._credential, secret, url, self._now)
        except ValueError as error:
            return str(error)
        except DependencyDown as error:
            return error.detail
        try:
            answer = await self._fetch.get(
                url,
                limit=LONGEST,
                timeout=ATTEMPT,
                allow_plaintext=self._target.allow_plaintext,
                allow_private=self._target.allow_private,
                ca=self._target.ca,
                headers={**self._target.headers, **headers},
            )
        except DependencyDown as error:
            return f"the upstream cannot be asked: {error.detail}"
        wanted = self._verify.status
        return "" if answer.status == wanted else f"the upstream answered {answer.status} instead of {wanted}"
