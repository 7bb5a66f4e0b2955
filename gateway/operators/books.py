"""Accounts made and changed by those who may: the command line, and operators over the admin listener."""

import hmac
import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from gateway.authn.login.seal import Seal
from gateway.operators.account import Account, Role, canonical, made
from gateway.operators.passwords import BCRYPT, Passwords, Unfit
from gateway.operators.roll import Held, Roll, Token
from gateway.store.sql.operators import MOST

BOOTSTRAP_SECONDS: Final = 1800


class Unknown(LookupError):
    """Nobody has that name."""


class Spent(Exception):
    """The bootstrap token is wrong, used, too old, or there are accounts already: which one is nobody's to know."""


class Books:
    """One configuration's. Everything raises DependencyDown, and Conflict where somebody else was faster."""

    def __init__(self, roll: Roll, passwords: Passwords, seal: Seal, now: Callable[[], float]) -> None:
        self._roll = roll
        self._passwords = passwords
        self._seal = seal
        self._now = now

    async def create(self, name: str, role: Role, password: str, by: str, *, must_change: bool = True) -> Account:
        """Raises Unfit for a password or a name that may not be had, Conflict for a name that is taken."""
        account = made(_named(name), role, await self._passwords.chosen(password, name), self._now(), by, must_change=must_change)
        await self._make_room(1)
        await self._roll.put((account, 0))
        return account

    async def adopt(self, entries: Iterable[tuple[str, str]], role: Role, by: str) -> list[Account]:
        """Names with bcrypt hashes, all of them or none. Raises Unfit, Conflict."""
        now, accounts = self._now(), []
        for name, encoded in entries:
            if not BCRYPT.fullmatch(encoded):
                raise Unfit(f"{name[:64]!r}: no bcrypt hash with a cost of 4 to 12")
            accounts.append(made(_named(name), role, encoded, now, by, must_change=False))
        await self._make_room(len(accounts))
        await self._roll.put(*((account, 0) for account in accounts))
        return accounts

    async def disable(self, name: str, *, disabled: bool) -> Account:
        """Let an account count no more, or again. Its sessions end. Raises Unknown."""
        held = await self._found(name)
        if held.account.disabled is disabled:
            return held.account
        return await self._put(held, held.account.renewed(disabled=disabled))

    async def grant(self, name: str, role: Role) -> Account:
        """Give an account a role. Its sessions end. Raises Unknown."""
        held = await self._found(name)
        return await self._put(held, held.account.renewed(role=role))

    async def reset(self, name: str, password: str, *, factors: bool) -> Account:
        """Give an account a password, to be changed at the next login, and take its second factors away where `factors` says so.

        Raises Unknown and Unfit."""
        held = await self._found(name)
        encoded = await self._passwords.chosen(password, held.account.name)
        bare = replace(held.account, totp="", pending="", recovery=(), keys=()) if factors else held.account
        return await self._put(held, with_password(bare, encoded, self._now(), self._passwords.rules.history, must_change=True))

    # The first account

    async def token(self) -> str | None:
        """A new bootstrap token, in place of any before; None where there are accounts. Raises Altered."""
        if not await self._roll.is_empty():
            return None
        before, value = await self._roll.token(), secrets.token_urlsafe(32)
        version = before.version if before is not None else 0
        await self._roll.put(token=Token(self._digest(value), self._now() + BOOTSTRAP_SECONDS, version))
        return value

    async def bootstrap(self, value: str, name: str, password: str) -> Account:
        """The first account, for which the token counts once. Raises Spent, Unfit, Altered, Conflict."""
        token = await self._roll.token()
        digest = token.digest if token is not None else ""
        right = hmac.compare_digest(digest.encode(), self._digest(value).encode())
        if token is None or not right or self._now() >= token.ends or not await self._roll.is_empty():
            raise Spent
        account = made(
            _named(name), "operator", await self._passwords.chosen(password, name), self._now(), "bootstrap", must_change=False
        )
        await self._roll.put((account, 0), token=Token("", 0.0, token.version))
        return account

    def _digest(self, value: str) -> str:
        return self._seal.mark(b"bootstrap\0" + value.encode("utf-8", "surrogatepass"))

    async def _make_room(self, count: int) -> None:
        found, altered = await self._roll.every()
        if len(found) + len(altered) + count >= MOST:
            raise Unfit(f"there are {MOST - 1} accounts at most")

    async def _found(self, name: str) -> Held:
        held = await self._roll.find(canonical(name))
        if held is None:
            raise Unknown(name)
        return held

    async def _put(self, held: Held, account: Account) -> Account:
        await self._roll.put((account, held.version))
        return account


def _named(written: str) -> str:
    name = canonical(written)
    if name == "?":
        raise Unfit("a name has letters, digits, '.', '_', '@' and '-', begins with a letter or digit and is at most 63 long")
    return name


def with_password(account: Account, encoded: str, now: float, history: int, *, must_change: bool) -> Account:
    """An account whose password is another; its sessions end."""
    before = (account.hash, *account.history)[:history]
    return account.renewed(hash=encoded, history=before, changed_at=now, must_change=must_change)
