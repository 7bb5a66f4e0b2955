"""What people change of their own accounts: the password, and what proves them beside it.

Whatever is changed ends all sessions of the account; the one it was asked in goes on under another id.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, final

from gateway.operators import secondary
from gateway.operators.account import Account
from gateway.operators.books import Unknown, with_password
from gateway.operators.office import DEVICE, Entered, Office
from gateway.operators.passwords import Unfit
from gateway.operators.roll import Held
from gateway.operators.sessions import Session


@final
class Own:
    """One operator's session, used for that. Everything raises as `Office.login` does, and Conflict."""

    def __init__(self, office: Office, session: Session, client: str) -> None:
        self._office = office
        self._session = session
        self._name = session.name
        self._client = client
        # Guesses at the password from a session are counted for it alone: whoever stole one does not shut its owner out.
        self._whence = DEVICE + session.digest[:32]

    async def change_password(self, old: str, new: str) -> Entered:
        """Raises Unfit for one that may not be chosen."""
        office = self._office
        async with self._confirmed(old) as held:
            account = held.account
        before = (account.hash, *account.history)[: max(office.rules.history, 1)]
        encoded = await office.passwords.chosen(new, self._name, before)
        changed = with_password(account, encoded, office.desk.clock.now(), office.rules.history, must_change=False)
        return await self._changed(held, changed, "password")

    async def offer_totp(self, password: str, code: str) -> dict[str, str]:
        """A new seed, which counts once a code of it was shown. `code` is of the second factor that there is, "" for none."""
        seed, office = secondary.new_seed(), self._office
        async with self._confirmed(password, code) as held:
            pending = office.seal.close(seed, f"totp:{self._name}".encode())
        await self._put(held, replace(held.account, pending=pending))
        return secondary.shown(seed, self._name)

    async def take_totp(self, code: str) -> tuple[Entered, list[str]]:
        """The seed that was offered counts from now on; gives recovery codes, too."""
        office = self._office
        async with office.counted(self._name, self._client, self._whence):
            held = await office.held(self._name)
            if held is None or not held.account.pending:
                raise Unfit("no seed was offered: ask for one first")
            step = secondary.step_of(office.seed(held.account.pending, self._name), code, office.desk.clock.now(), 0)
            if step is None:
                office.refuse(self._name, "wrong code")
        codes, kept = secondary.new_codes(office.seal, self._name)
        changed = held.account.renewed(totp=held.account.pending, pending="", step=step, recovery=kept)
        return await self._changed(held, changed, "totp.added"), codes

    async def drop_totp(self, password: str, code: str) -> Entered:
        """No second factor any more, for who shows it once more."""
        async with self._confirmed(password, code) as held:
            changed = without_recovery(held.account.renewed(totp="", pending=""))
        return await self._changed(held, changed, "totp.removed")

    async def renew_recovery(self, password: str, code: str) -> list[str]:
        """New recovery codes in place of all before. Raises Unfit where there is no second factor."""
        office = self._office
        codes, kept = secondary.new_codes(office.seal, self._name)
        async with self._confirmed(password, code) as held:
            if not held.account.factors:
                raise Unfit("recovery codes stand in for a second factor: add that first")
        await self._put(held, replace(held.account, recovery=kept))
        self._note("recovery.renewed")
        return codes

    async def offer_key(self, password: str, code: str) -> dict[str, Any]:
        """What a browser registers a security key with; `code` where there is a second factor already. Raises Unfit."""
        async with self._confirmed(password, code) as held:
            offered = self._office.keys.offered(held.account, self._session.digest)
        if held.account.factors:  # what proved it counts no more
            await self._put(held, held.account)
        return offered

    async def take_key(self, name: str, registered: str) -> tuple[Entered, list[str]]:
        """The key counts from now on; gives recovery codes where there were none. Raises Unfit."""
        office = self._office
        async with office.counted(self._name, self._client, self._whence):
            held = await office.held(self._name)
            if held is None:
                office.refuse(self._name, "no account")
            async with office.roll() as roll:
                taken = [key for each in (await roll.every())[0] for key in each.account.keys]
            changed = office.keys.added(held.account, self._session.digest, name, registered, taken)
        codes: list[str] = []
        if not changed.recovery:
            codes, kept = secondary.new_codes(office.seal, self._name)
            changed = replace(changed, recovery=kept)
        return await self._changed(held, changed, "webauthn.added", name), codes

    async def drop_key(self, name: str, password: str, code: str) -> Entered:
        """A key counts no more, for who shows a second factor. Raises Unknown."""
        async with self._confirmed(password, code) as held:
            left = tuple(key for key in held.account.keys if key.name != name)
            if len(left) == len(held.account.keys):
                raise Unknown(name)
        return await self._changed(held, without_recovery(held.account.renewed(keys=left)), "webauthn.removed", name)

    async def keys(self) -> list[dict[str, Any]]:
        """One's keys: what they are called, and since when."""
        held = await self._office.held(self._name)
        return [{"name": key.name, "added_at": int(key.added_at)} for key in held.account.keys] if held is not None else []

    @asynccontextmanager
    async def _confirmed(self, password: str, code: str | None = None) -> AsyncIterator[Held]:
        """What only who knows the password may change, and, unless `code` is None, who has the second factor: used up in what
        this gives."""
        office, name = self._office, self._name
        async with office.counted(name, self._client, self._whence):
            held = await office.held(name)
            right = await office.passwords.verify(held.account.hash if held is not None else None, password)
            if held is None or not right:
                office.refuse(name, "wrong password")
            if code is not None:
                held = replace(held, account=office.second(held.account, code)[1])
            yield held

    async def _put(self, held: Held, account: Account) -> None:
        async with self._office.roll() as roll:
            await roll.put((account, held.version))

    async def _changed(self, held: Held, account: Account, action: str, key: str | None = None) -> Entered:
        await self._put(held, account)
        self._office.desk.sessions.end_all(self._name)
        self._note(action, key)
        return self._office.enter(account, self._session.factor, self._client)

    def _note(self, action: str, key: str | None = None) -> None:
        told = {"operator": self._name, "account": self._name, "action": action, "client": self._client, "detail": key}
        self._office.desk.tell("operator.account", **told)


def without_recovery(account: Account) -> Account:
    """An account without recovery codes, where nothing is left that they could stand in for."""
    return account if account.factors else replace(account, recovery=())
