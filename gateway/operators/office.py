"""What one configuration says of operators, put to work: logins and sessions.

A login that fails takes FLOOR seconds and tells nothing but that. What fails is counted for the browser that has logged in to that
account before, else for the address, or, where that tells nobody apart, for the name at new browsers, never for the account.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn, final

from gateway.authn.login.seal import Seal
from gateway.authn.operators_model import LocalOperators, Operators
from gateway.authn.strength import StrongSecret
from gateway.core.errors import DependencyDown, GatewayError, NoRoute, Unauthenticated
from gateway.core.ports import SecretSource
from gateway.core.reason import Reason
from gateway.detection.model import Detection
from gateway.detection.watch import Watch
from gateway.fetch import HttpFetch
from gateway.operators import secondary
from gateway.operators.account import Account, canonical
from gateway.operators.books import Books, Spent
from gateway.operators.desk import NAMED, Desk
from gateway.operators.foreign import Foreign
from gateway.operators.passwords import Passwords, Unfit, check, is_current
from gateway.operators.roll import Altered, Held, Roll
from gateway.operators.security_keys import SecurityKeys
from gateway.operators.sessions import FOREIGN, Session
from gateway.store.sql.engine import Database
from gateway.store.sql.operators import OperatorRows
from gateway.store.sql.rows import Conflict

FLOOR: Final = 0.5
FRESH: Final = 1.0
"""Seconds for which what was read of an account counts: so long lives a session of one that was disabled elsewhere."""
DEVICE: Final = "device."
DEVICE_SECONDS: Final = 90 * 86400
BOOTSTRAP: Final = "!bootstrap"
OPEN_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class Attempt:
    """A login as it was asked for. `client` is an address, "" on a unix socket; `device` is what a browser brought of an earlier
    login; `code` is a second factor's (a key's answer is JSON), "" for none."""

    name: str
    password: str
    code: str = ""
    client: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class Entered:
    """A session that was opened: its id for the cookie, and what tells this browser from others next time."""

    value: str
    session: Session
    device: str
    limited: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """Whose session it is; `limited`: it may do nothing but choose another password."""

    session: Session
    limited: bool


@final
class Office:
    """Lives as long as its configuration; what has to live longer is the desk's."""

    def __init__(
        self,
        desk: Desk,
        model: Operators,
        key: StrongSecret,
        open_: Callable[[], Database] | None,
        detection: Detection,
        *,
        fetching: Callable[[], HttpFetch] | None = None,
        client_secret: SecretSource | None = None,
        floor: float = FLOOR,
    ) -> None:
        self.model = model
        self.desk = desk
        self.rules = model.local or LocalOperators()
        self.passwords = Passwords(key, self.rules, desk.threads)
        self.foreign: Foreign | None = None
        if model.oidc is not None and fetching is not None:
            seal = Seal([key], "operator-login")
            self.foreign = Foreign(desk, model.oidc, model.canonical, seal, client_secret, fetching)
        self._key = key
        self.seal = Seal([key], "operator")
        self.keys = SecurityKeys(model, self.seal, desk)
        self._open = open_
        self._turns = asyncio.Semaphore(OPEN_AT_ONCE)
        self._detection = detection
        self._floor = floor
        self._guarded = Watch(desk.guard, desk.clock, detection.never_block), Watch(desk.guard, desk.clock, ())
        self.read: dict[str, tuple[float, Account | None]] = {}

    @asynccontextmanager
    async def roll(self) -> AsyncIterator[Roll]:
        """The accounts. A database is opened for each use: operators are few, and nothing is left to be closed."""
        if self._open is None:
            raise NoRoute("operators: no accounts are kept here")
        async with self._turns:
            database = self._open()
            try:
                yield Roll(OperatorRows(database), self._key, self.desk.clock.now, self.desk.seen)
            finally:
                await database.close()

    @asynccontextmanager
    async def books(self) -> AsyncIterator[Books]:
        """What changes accounts."""
        async with self.roll() as roll:
            yield Books(roll, self.passwords, self.seal, self.desk.clock.now)
        self.read.clear()

    # In

    async def login(self, attempt: Attempt) -> Entered:
        """Raises Unauthenticated, Forbidden and LimitExceeded for who guesses, Unavailable, DependencyDown."""
        name = canonical(attempt.name)
        async with self.counted(name, attempt.client, await self._device(name, attempt.device)) as whence:
            account, factor = await self._proved(name, attempt)
            self.desk.guard.succeeded(whence, f"operator:{name}")
        return self.enter(account, factor, attempt.client)

    @asynccontextmanager
    async def counted(self, name: str, client: str, device: str | None) -> AsyncIterator[str]:
        """What proves an identity, watched: refused for who failed too often, slow and counted where it fails."""
        began, whence = self.desk.clock.monotonic(), device or self._counted_as(name, client)
        self.desk.judge(self._detection)
        watch = self._guarded[whence != client]
        watch.refuse(whence)
        try:
            with self.desk.turn(device or client):
                yield whence
        except Unauthenticated as error:
            watch.failed(whence, error)
            told = {"operator": name if self._known(name) else None, "client": client, "reason": error.reason}
            self.desk.tell("operator.login.failed", detail=error.detail, **told)
            await asyncio.sleep(max(self._floor - (self.desk.clock.monotonic() - began), 0))
            raise

    def wrong_token(self, client: str, error: GatewayError) -> None:
        """Counts a guess at the listener's token, for the address."""
        self.desk.judge(self._detection)
        self._guarded[0].failed(client, error)

    def _counted_as(self, name: str, client: str) -> str:
        """The address; where it tells nobody apart (`never_block`, a unix socket), the name. A bootstrap token is no password."""
        return client if name == BOOTSTRAP or (client and not self._guarded[0].is_exempt(client)) else NAMED + name

    def _known(self, name: str) -> bool:
        """Whether a name may be written down: what is typed there by mistake is often a password."""
        return name in self.read or name in self.desk.seen

    async def _proved(self, name: str, attempt: Attempt) -> tuple[Account, str]:
        held = await self.held(name)
        account = held.account if held is not None else None
        right = await self.passwords.verify(account.hash if account is not None else None, attempt.password)
        if held is None or account is None or not right or account.disabled:
            self.refuse(name, "wrong name or password")
        factor, changed = self.second(account, attempt.code)
        if not is_current(account.hash):
            changed = replace(changed, hash=await self.passwords.hash(attempt.password))
            changed = replace(changed, must_change=changed.must_change or not self._is_fit(attempt.password, name))
        if changed is not account:
            try:
                async with self.roll() as roll:
                    await roll.put((changed, held.version))
            except Conflict:
                self.refuse(name, "another login was faster: a code counts once")
        return changed, factor

    def second(self, account: Account, code: str) -> tuple[str, Account]:
        """Which factor proved it, and the account without it. Raises Unauthenticated."""
        if not account.factors:
            return "password", account
        if not code:
            members = {"second_factor": account.factors, **self.keys.asked(account)}
            raise Unauthenticated("no second factor", reason=Reason.CREDENTIAL_MISSING, members=members)
        if code.startswith("{"):
            return "webauthn", self.keys.used(account, code)
        if account.totp:
            seed, now = self.seed(account.totp, account.name), self.desk.clock.now()
            step = secondary.step_of(seed, code, now, account.step)
            if step is not None:
                return "totp", replace(account, step=step)
        left = secondary.used(account.recovery, secondary.digest(self.seal, account.name, code))
        if left is None:
            self.refuse(account.name, "wrong code")
        return "recovery", replace(account, recovery=left)

    def _is_fit(self, password: str, name: str) -> bool:
        try:
            check(password, name, self.rules)
        except Unfit:
            return False
        return True

    def refuse(self, name: str, why: str) -> NoReturn:
        """Raises what every failure looks like."""
        raise Unauthenticated(f"operators: {why}", about=f"operator:{name}")

    def enter(self, account: Account, factor: str, client: str) -> Entered:
        """A new session under a new id."""
        value, session = self.desk.sessions.open(account.name, account.role, account.stamp, factor)
        self.read[account.name] = self.desk.clock.monotonic(), account
        self.desk.tell("operator.login", operator=account.name, role=account.role, factor=factor, client=client)
        which = secrets.token_bytes(16) + int(self.desk.clock.now()).to_bytes(8) + account.stamp.encode()
        device = self.seal.close(which, f"device:{account.name}".encode())
        return Entered(value, session, device, self._limited(account))

    async def _device(self, name: str, brought: str) -> str | None:
        """What a browser that has logged in to that account before is counted as (OWASP, device cookies), until its password, role
        or factors change."""
        opened = self.seal.open(brought.encode("ascii"), f"device:{name}".encode()) if brought.isascii() else None
        account = await self._current(name) if opened is not None else None
        if opened is None or account is None or opened[24:] != account.stamp.encode():
            return None
        age = self.desk.clock.now() - int.from_bytes(opened[16:24])
        return DEVICE + opened[:16].hex() if age <= DEVICE_SECONDS else None

    # There

    async def standing(self, value: str) -> Standing:
        """Whose session an id is of. Raises Unauthenticated and DependencyDown."""
        session = self.desk.sessions.find(value, self.model.idle, self.model.absolute)
        if session is None:
            raise Unauthenticated("operators: no session, or over", reason=Reason.CREDENTIAL_EXPIRED)
        if session.factor == FOREIGN and self.foreign is not None and self.foreign.stands(session):
            return Standing(session, limited=False)
        account = await self._current(session.name) if session.factor != FOREIGN else None
        if account is None or account.disabled or account.stamp != session.stamp:
            self.desk.sessions.end(session)
            raise Unauthenticated("operators: the account has changed", reason=Reason.CREDENTIAL_EXPIRED)
        return Standing(session, self._limited(account))

    def _limited(self, account: Account) -> bool:
        age = self.rules.max_age
        return account.must_change or (age is not None and self.desk.clock.now() - account.changed_at > age)

    async def _current(self, name: str) -> Account | None:
        now, (when, account) = self.desk.clock.monotonic(), self.read.get(name, (float("-inf"), None))
        if now - when > FRESH:
            held = await self.held(name)
            account = held.account if held is not None else None
            self.read[name] = now, account
        return account

    async def held(self, name: str) -> Held | None:
        """An account as it is now. Raises DependencyDown."""
        try:
            async with self.roll() as roll:
                return await roll.find(name)
        except Altered:
            self.desk.tell("operator.refused", operator=name)
            return None

    def leave(self, session: Session, client: str) -> None:
        """The end of a session, by its owner."""
        self.desk.sessions.end(session)
        self.desk.tell("operator.logout", operator=session.name, client=client)

    def forget(self, values: Sequence[str]) -> None:
        """Sessions that a browser had before it logged in: they end, so that an id which somebody put there is of no use."""
        for value in values:
            session = self.desk.sessions.find(value, self.model.idle, self.model.absolute)
            if session is not None:
                self.desk.sessions.end(session)

    async def bootstrap(self, token: str, name: str, password: str, client: str) -> Entered:
        """The first account. Raises as `login` does, and Unfit."""
        async with self.counted(BOOTSTRAP, client, None):
            try:
                async with self.books() as books:
                    account = await books.bootstrap(token, name, password)
            except (Spent, Altered, Conflict):
                self.refuse(BOOTSTRAP, "the bootstrap token does not count")
        told: dict[str, Any] = {"operator": account.name, "account": account.name, "role": account.role, "client": client}
        self.desk.tell("operator.account", action="bootstrap", **told)
        return self.enter(account, "password", client)

    def seed(self, sealed: str, name: str) -> bytes:
        """A seed opened. Raises DependencyDown where the key is another."""
        seed = self.seal.open(sealed.encode("ascii"), f"totp:{name}".encode())
        if seed is None:
            raise DependencyDown("operators: a seed does not open under `admin.operators.key`")
        return seed
