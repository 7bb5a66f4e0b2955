"""The accounts of the database. Each row is under a code that whoever writes the database cannot make: who may write rows can take
accounts away, but cannot make one, change one, or give one the password or the factors of another (as decision 27 says of keys).
"""

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.authn.strength import StrongSecret
from gateway.operators.account import Account, dump, load
from gateway.store.sql.operators import OperatorRow, OperatorRows

DOMAIN: Final = b"latchgate operators v1\0"
BOOTSTRAP: Final = "!bootstrap"
"""The row of the bootstrap token: no account is called like that."""


class Altered(Exception):
    """A row that no gateway of this key wrote, or an older one than this process has seen."""


@dataclass(frozen=True, slots=True)
class Held:
    """An account as it was read, and which version of it."""

    account: Account
    version: int


@dataclass(frozen=True, slots=True)
class Token:
    """The bootstrap token: its digest ("" once it was used), and the Unix time at which it ends."""

    digest: str
    ends: float
    version: int = 0


class Roll:
    """Finds and keeps accounts. `seen` remembers the newest version of each that this process has met."""

    def __init__(self, rows: OperatorRows, key: StrongSecret, now: Callable[[], float], seen: dict[str, int]) -> None:
        self._rows = rows
        self._key = key
        self._now = now
        self._seen = seen

    async def find(self, name: str) -> Held | None:
        """Raises Altered and DependencyDown."""
        row = await self._rows.of(name)
        if row is not None and row.version < self._seen.get(name, 0):  # another reading overtook this one, or it was put back
            row = await self._rows.of(name)
        return None if row is None else Held(self._account(row), row.version)

    async def every(self) -> tuple[list[Held], list[str]]:
        """All accounts, and the names of rows that are not ours. Raises DependencyDown."""
        found, altered = [], []
        for row in await self._rows.every():
            if row.name == BOOTSTRAP:
                continue
            try:
                found.append(Held(self._account(row), row.version))
            except Altered:
                altered.append(row.name)
        return found, altered

    async def is_empty(self) -> bool:
        """Whether nobody has an account; a row that is not ours counts as one. Raises DependencyDown."""
        return all(row.name == BOOTSTRAP for row in await self._rows.every())

    async def put(self, *changed: tuple[Account, int], token: Token | None = None) -> None:
        """Write accounts, each in place of a version, 0 where there is to be none; all or none. `token` replaces its own version.

        Raises Conflict where somebody was faster, and DependencyDown.
        """
        rows = [(self._row(account.name, dump(account), before + 1), before) for account, before in changed]
        if token is not None:
            body = json.dumps([token.digest, token.ends])
            rows.append((self._row(BOOTSTRAP, body, token.version + 1), token.version))
        await self._rows.put_all(rows)
        self._seen |= {row.name: row.version for row, _ in rows}

    async def token(self) -> Token | None:
        """The bootstrap token that was handed out last. Raises Altered and DependencyDown."""
        row = await self._rows.of(BOOTSTRAP)
        if row is None:
            return None
        digest, ends = json.loads(self._opened(row))
        return Token(digest, ends, row.version)

    def _row(self, name: str, body: str, version: int) -> OperatorRow:
        return OperatorRow(name, body, self._code(name, version, body), version, self._now())

    def _account(self, row: OperatorRow) -> Account:
        try:
            account = load(self._opened(row))
        except ValueError as error:
            raise Altered(row.name) from error
        if account.name != row.name:
            raise Altered(row.name)
        return account

    def _opened(self, row: OperatorRow) -> str:
        code = self._code(row.name, row.version, row.body)
        if not hmac.compare_digest(code.encode(), row.mac.encode("utf-8", "surrogateescape")):
            raise Altered(row.name)
        if row.version < self._seen.get(row.name, 0):
            raise Altered(row.name)
        self._seen[row.name] = row.version
        return row.body

    def _code(self, name: str, version: int, body: str) -> str:
        key = hmac.digest(self._key.current(), DOMAIN, "sha256")
        head = f"{len(name)}:{name}.{version}.".encode("utf-8", "surrogateescape")
        return "hmac-sha256:" + hmac.digest(key, head + body.encode("utf-8", "surrogateescape"), "sha256").hex()
