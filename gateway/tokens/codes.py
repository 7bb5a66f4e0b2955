"""Authorization codes (RFC 6749 4.1.2, RFC 7636): 256 bits, for a minute, once, for one client, redirect URI and verifier.

Of each a digest is kept and a sealed record. One that was used stays known for a while: whoever brings it again has it from
somewhere, so what was issued of it ends.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar, final

from gateway.core.session_store import SessionStore
from gateway.tokens.granted import Granted, dump, load, taken
from gateway.tokens.refusals import Refused
from gateway.tokens.seals import Seals

SECONDS: Final = 60.0
REMEMBERED: Final = 900.0
"""Seconds for which a used code is known as one at least."""
CODE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
"""RFC 7636 4.1."""

T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class Redemption:
    """What a client shows with a code at the token endpoint. `jkt` is of the key whose proof came along."""

    code: str
    client: str
    redirect_uri: str
    verifier: str
    jkt: str | None


@final
class Codes:
    """All codes of one configuration. `end` ends what was issued under a family's name; `longest` is how long, in seconds, what was
    issued of a code may live by itself: as long it is known that the code was used."""

    def __init__(self, store: SessionStore, seals: Seals, end: Callable[[Granted], Awaitable[None]], longest: float = 0.0) -> None:
        self._store = store
        self._seals = seals
        self._end = end
        self._remembered = max(longest, REMEMBERED)

    async def issue(self, granted: Granted, redirect_uri: str, challenge: str) -> str:
        """A code for the browser to carry; `challenge` is S256. Raises DependencyDown."""
        code = secrets.token_urlsafe(32)
        id = name(code)
        record = dump(granted.told(), redirect_uri, challenge, False)
        await self._store.add(id, self._seals.close(record, id), SECONDS, ())
        return code

    async def redeem(self, shown: Redemption, begin: Callable[[Granted], Awaitable[T]]) -> tuple[Granted, T]:
        """What the code stands for, the first time, and what `begin` made of it before the code was used up: so that whoever brings
        it again ends all of it. Raises Refused and DependencyDown."""
        if not CODE.fullmatch(shown.code):
            raise Refused("invalid_grant", "no such code", guess=True)
        id = name(shown.code)
        stored = await self._store.get(id)
        record = load(self._seals.open(stored.sealed, id)) if stored is not None else None
        if stored is None or record is None:
            raise Refused("invalid_grant", "no such code", guess=True)
        granted, (redirect_uri, challenge, used) = taken(record[0]), record[1:]
        if used:
            await self._used(granted)
        self._check(granted, redirect_uri, challenge, shown)
        begun = await begin(granted)
        spent = self._seals.close(dump(record[0], redirect_uri, challenge, True), id)
        if not await self._store.replace(id, stored.version, spent):
            await self._used(granted)
        await self._store.keep(id, self._remembered)
        return granted, begun

    def _check(self, granted: Granted, redirect_uri: str, challenge: str, shown: Redemption) -> None:
        """That it is shown by whom it was issued to. What is wrong does not use it up: else a copy would."""
        if granted.client != shown.client:
            raise Refused("invalid_grant", "the code is another client's", guess=True)
        if not hmac.compare_digest(redirect_uri.encode(), shown.redirect_uri.encode("utf-8", "replace")):
            raise Refused("invalid_grant", "another redirect_uri", guess=True)
        if not VERIFIER.fullmatch(shown.verifier) or not hmac.compare_digest(challenge, challenged(shown.verifier)):
            raise Refused("invalid_grant", "the code_verifier is not this code's", guess=True)
        if granted.jkt is not None and granted.jkt != shown.jkt:
            raise Refused("invalid_grant", "the code is bound to another key", guess=True)

    async def _used(self, granted: Granted) -> None:
        """RFC 6749 4.1.2, RFC 9700 4.5: a code that comes twice was copied; nobody can tell by which of the two. Raises Refused."""
        await self._end(granted)
        raise Refused("invalid_grant", "the code was used before", reused=granted)


def challenged(verifier: str) -> str:
    """RFC 7636 4.2, S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode("ascii")


def name(code: str) -> str:
    """What a code is kept under: whoever reads the store learns no code."""
    return "code:" + hashlib.sha256(code.encode("ascii")).hexdigest()
