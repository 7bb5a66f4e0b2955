"""Refresh tokens: each good once, all of one consent a family (RFC 9700 2.2.2 and 4.14.2).

A token is the family's name, 256 random bits, and a mark of ours over both. What bears our mark was issued here: when it is not
the family's latest, it is a copy of one that was used, and the family ends. What bears none is a guess, and the store is not asked.

An answer may be lost, and an honest client then asks again with the token it has. For `grace` seconds, and as long as nobody used
the successor, it gets that very successor: there is never a second branch. The record holds the successor sealed under a key made
of the token before it, so that whoever opens the record has none of both.
"""

import base64
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.core.errors import DependencyDown
from gateway.core.ports import CLOCKS, Clock
from gateway.core.session_store import SessionStore, Stored
from gateway.tokens.granted import Granted, dump, load, taken
from gateway.tokens.refusals import Refused
from gateway.tokens.seals import Seals

PREFIX: Final = "lgr_"
TOKEN: Final = re.compile(r"lgr_[A-Za-z0-9_-]{86}")
FAMILY: Final = 16
SECRET: Final = 32
MARK: Final = 16
NONCE: Final = 12
NAMED: Final = "family:"
MOST_EACH: Final = 50
"""Families of one login session. The oldest ends where there would be more: nobody fills the store for others."""
TRIES: Final = 4
"""How often two requests with the same token may be in each other's way."""


@final
@dataclass(frozen=True, slots=True)
class Family:
    """A record. `last` and `before` are digests of the token that is good and of the one it followed, `successor` is the good
    one sealed under the one before, `since` when it was made, `ends` when all of it is over, `counts` when the last access token
    issued of it is: Unix times."""

    granted: Granted
    last: str
    before: str | None
    successor: str | None
    since: float
    ends: float
    counts: float = 0.0

    def dump(self) -> bytes:
        return dump(self.granted.told(), self.last, self.before, self.successor, self.since, self.ends, self.counts)


@final
class Families:
    """All families of one configuration. `current` gives what a consent is worth now, None where its login session is over;
    `revoke` makes tokens that were issued under a family's name count no more, everywhere, for so many seconds, on the account of
    that person."""

    def __init__(
        self,
        store: SessionStore,
        seals: Seals,
        clock: Clock,
        *,
        lifetime: float,
        grace: float,
        access: float,
        current: Callable[[Granted], Awaitable[Granted | None]],
        revoke: Callable[[str, float, str | None], Awaitable[None]],
    ) -> None:
        """`access` is how long access tokens live."""
        self._store = store
        self._seals = seals
        self._now = clock.now
        self._lifetime = lifetime
        self._grace = grace
        self._access = access
        self._current = current
        self._revoke = revoke

    # Issued

    async def open(self, granted: Granted, lifetime: float | None = None) -> str:
        """The first token of a family. With a `lifetime`, that of an access token, the family lasts as long and the token is given
        to nobody: what was issued ends with its session all the same. Raises DependencyDown."""
        lasting = self._lifetime if lifetime is None else lifetime
        now, token = self._now(), self._made(granted.family)
        family = Family(granted, digest(token), None, None, now, now + lasting, now + self._access)
        id, tag = named(granted.family), granted.session
        mine = await self._store.tagged(tag)
        for oldest in mine[: max(len(mine) - MOST_EACH + 1, 0)]:
            await self._end(oldest)
        # Found until the last access token of it is over, that it can be ended.
        kept = lasting if lifetime is not None else lasting + self._access
        await self._store.add(id, self._sealed(id, family), kept, [tag, *self._whose(granted)])
        return token

    async def refresh(
        self, token: str, client: str, jkt: str | None, judge: Callable[[Granted], object] = bool
    ) -> tuple[Granted, str]:
        """What the token stands for now, and its successor. Raises Refused, what `judge` raises of what it stands for, and
        DependencyDown: the token is then as good as before, or within `grace` brings the answer that was lost."""
        id = named(self._family(token))
        for _ in range(TRIES):
            stored, family = await self._found(id)
            self._check(family.granted, client, jkt)
            judge(family.granted)
            shown = digest(token)
            if hmac.compare_digest(shown, family.last):
                granted = await self._standing(family)
                successor = self._made(granted.family)
                now = self._now()
                counts = max(family.counts, now + self._access)
                followed = Family(granted, digest(successor), shown, sealed(successor, token), now, family.ends, counts)
                if await self._store.replace(id, stored.version, self._sealed(id, followed)):
                    return granted, successor
                continue  # another request with the same token was first: this one gets the same successor
            if again := self._repeated(family, shown, token):
                return await self._standing(family), again
            await self.end(family.granted)
            raise Refused("invalid_grant", "the refresh token was used before", reused=family.granted)
        raise Refused("invalid_grant", "the refresh token is in use")

    def _repeated(self, family: Family, shown: str, token: str) -> str | None:
        """The successor once more, for whoever lost the answer a moment ago."""
        before, held = family.before, family.successor
        if before is None or held is None or not hmac.compare_digest(shown, before):
            return None
        return opened(held, token) if -CLOCKS <= self._now() - family.since < self._grace else None

    def _check(self, granted: Granted, client: str, jkt: str | None) -> None:
        if granted.client != client:
            raise Refused("invalid_grant", "the refresh token is another client's", guess=True)
        if granted.jkt is not None and granted.jkt != jkt:
            raise Refused("invalid_grant", "the refresh token is bound to another key", guess=True)

    async def _standing(self, family: Family) -> Granted:
        """What the consent is worth now. Raises Refused, with the family gone, where that is nothing."""
        granted = await self._current(family.granted) if self._now() < family.ends else None
        if granted is None:
            await self.end(family.granted)
            raise Refused("invalid_grant", "the login behind the refresh token is over")
        return granted

    # Found and ended

    async def _found(self, id: str) -> tuple[Stored, Family]:
        """Raises Refused and DependencyDown."""
        stored = await self._store.get(id)
        family = self._opened(id, stored) if stored is not None else None
        if stored is None or family is None:
            raise Refused("invalid_grant", "the refresh token was revoked, or is too old")
        return stored, family

    async def look(self, token: str) -> Family | None:
        """The family of a token that is good now; nothing is used up. Raises DependencyDown."""
        try:
            _, family = await self._found(named(self._family(token)))
        except Refused:
            return None
        return family if hmac.compare_digest(digest(token), family.last) and self._now() < family.ends else None

    async def issued(self, token: str) -> Granted | None:
        """Of which consent a token was issued, whether it is good or was used; None for one that was not, or is over."""
        try:
            _, family = await self._found(named(self._family(token)))
        except Refused:
            return None
        return family.granted

    async def end(self, granted: Granted) -> bool:
        """End a family, and the tokens issued under its name; whether there was one. Raises DependencyDown."""
        return await self._end(named(granted.family))

    async def _end(self, id: str) -> bool:
        stored = await self._store.get(id)
        family = self._opened(id, stored) if stored is not None else None
        person = None if family is None else f"{family.granted.issuer}:{family.granted.subject}"
        left = max(0.0 if family is None else family.counts - self._now(), self._access)
        try:
            await self._revoke(id.removeprefix(NAMED), left, person)
        finally:  # also where there is no room to remember it: nothing more is issued of it
            removed = await self._store.remove(id)
        return removed

    async def end_all(self, *parts: str) -> int:
        """End all families of a person, also those that outlive their session; how many. They are found as sessions are, by `who`
        or `sub` with the issuer and the name. Raises DependencyDown."""
        count, failure = 0, None
        for tag in self._tag(*parts):
            ended = True
            while ended:
                ended = False
                for id in await self._store.tagged(tag):
                    try:
                        if await self._end(id):
                            ended, count = True, count + 1
                    except DependencyDown as error:  # that one's record is gone, where it could be: on to the others
                        failure = error
        if failure is not None:
            raise failure
        return count

    async def end_session(self, session: str, gone: bool) -> None:
        """End all families of a login session; those that outlive it only where the person may not come back (OpenID Connect
        Back-Channel Logout 1.0, 2.7). Raises DependencyDown."""
        failure = None
        for id in await self._store.tagged(session):
            stored = await self._store.get(id)
            family = self._opened(id, stored) if stored is not None else None
            if family is not None and (gone or not family.granted.offline):
                try:
                    await self.end(family.granted)
                except DependencyDown as error:
                    failure = error
        if failure is not None:
            raise failure

    async def listed(self, *parts: str) -> list[Family]:
        """Those that `end_all` would end and that count, oldest first. Raises DependencyDown."""
        found = []
        for id in [id for tag in reversed(self._tag(*parts)) for id in await self._store.tagged(tag)]:
            stored = await self._store.get(id)
            family = self._opened(id, stored) if stored is not None else None
            if family is not None and self._now() < family.ends:
                found.append(family)
        return found

    def _whose(self, granted: Granted) -> list[str]:
        """By what a person's families are found."""
        names = ("who", granted.subject), ("sub", str(granted.claims.get("sub", granted.subject)))
        return [self._tag(kind, granted.issuer, name)[0] for kind, name in names]

    def _tag(self, *parts: str) -> list[str]:
        """As the store may know it, under each of the keys: the first is given to new families."""
        return [mark.hex() for mark in self._seals.marks("\0".join(f"{len(part)}:{part}" for part in parts).encode())]

    # Tokens and records

    def _made(self, family: str) -> str:
        raw = bytes.fromhex(family) + secrets.token_bytes(SECRET)
        return PREFIX + base64.urlsafe_b64encode(raw + self._marks(raw)[0]).rstrip(b"=").decode("ascii")

    def _family(self, token: str) -> str:
        """Raises Refused for what was not issued here."""
        raw = base64.urlsafe_b64decode(token[len(PREFIX) :] + "==") if TOKEN.fullmatch(token) else b""
        if len(raw) != FAMILY + SECRET + MARK or not self._bears(raw[:-MARK], raw[-MARK:]):
            raise Refused("invalid_grant", "no such refresh token", guess=True)
        return raw[:FAMILY].hex()

    def _marks(self, raw: bytes) -> list[bytes]:
        return [mark[:MARK] for mark in self._seals.marks(raw)]

    def _bears(self, raw: bytes, mark: bytes) -> bool:
        return sum(hmac.compare_digest(each, mark) for each in self._marks(raw)) > 0

    def _sealed(self, id: str, family: Family) -> str:
        return self._seals.close(family.dump(), id)

    def _opened(self, id: str, stored: Stored) -> Family | None:
        found: list[Any] | None = load(self._seals.open(stored.sealed, id))
        return None if found is None else Family(taken(found[0]), *found[1:])


def named(family: str) -> str:
    """What a family is kept under."""
    return NAMED + family


def digest(token: str) -> str:
    return hashlib.sha256(token.encode("ascii")).hexdigest()


def sealed(successor: str, token: str) -> str:
    """A token that only whoever holds the one before it can read."""
    nonce = os.urandom(NONCE)
    return base64.b64encode(nonce + AESGCM(_key(token)).encrypt(nonce, successor.encode("ascii"), b"successor")).decode("ascii")


def opened(held: str, token: str) -> str | None:
    raw = base64.b64decode(held)
    try:
        return AESGCM(_key(token)).decrypt(raw[:NONCE], raw[NONCE:], b"successor").decode("ascii")
    except InvalidTag:
        return None


def _key(token: str) -> bytes:
    return hmac.digest(token.encode("ascii"), b"latchgate:successor\x01", "sha256")
