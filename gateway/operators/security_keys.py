"""Security keys as second factors: challenges that only this gateway makes and that count once, and the accounts that keys change.

A challenge is sealed, with the time it was made: nothing is kept of one until it was answered. The account's row then remembers
that time, and none made until then counts any more, on any replica; it is written by a conditional write, as the step of a code is.
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, final

from gateway.authn.login.seal import Seal
from gateway.authn.operators_model import Operators
from gateway.core.errors import Unauthenticated
from gateway.operators.account import Account, Key
from gateway.operators.desk import Desk
from gateway.operators.passwords import Unfit

if TYPE_CHECKING:
    from gateway.operators.ceremony import Ceremony as _Ceremony

MOST: Final = 8
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
SECONDS: Final = 300
RANDOM: Final = 32
PAST: Final = 1_000_000
"""Microseconds in a second."""


@final
class SecurityKeys:
    """Those of one configuration's local accounts."""

    def __init__(self, model: Operators, seal: Seal, desk: Desk) -> None:
        self._seal = seal
        self._desk = desk
        self._ceremony: _Ceremony | None = None
        if model.local is not None and model.names_host:
            from gateway.operators.ceremony import Ceremony

            self._ceremony = Ceremony(model.host, model.canonical, verified=model.local.key_verification, seconds=SECONDS)

    def offered(self, account: Account, session: str) -> dict[str, Any]:
        """Options for `navigator.credentials.create()`, for one session. Raises Unfit where there can be no more."""
        ceremony = self._possible()
        if len(account.keys) >= MOST:
            raise Unfit(f"an account has {MOST} keys at most: remove one first")
        return ceremony.creation(self._challenge(_create(account, session)), self._handle(account), account.name, account.keys)

    def added(self, account: Account, session: str, name: str, text: str, taken: Iterable[Key]) -> Account:
        """The account with the key that a browser made; `taken` are all there are, of anybody. Raises Unauthenticated and Unfit."""
        ceremony = self._possible()
        if not NAME.fullmatch(name) or any(key.name == name for key in account.keys):
            raise Unfit("a key's name has a-z, 0-9, '.', '_' and '-', is at most 32 long, and is another one's of the account")
        try:
            response = ceremony.registration(text)
            self._made_at(response.response.client_data.challenge, _create(account, session))
            data, count = ceremony.registered(response)
        except ValueError as error:
            raise _refused(account, error) from error
        if len(account.keys) >= MOST or ceremony.is_among(data, taken):
            raise Unfit(f"the key is in use already, or the account has {MOST}")
        return account.renewed(keys=(*account.keys, Key(name, data, count, self._desk.clock.now())))

    def asked(self, account: Account) -> dict[str, Any]:
        """Options for `navigator.credentials.get()`, as a member of the answer that asks for a second factor."""
        if self._ceremony is None or not account.keys:
            return {}
        return {"webauthn": self._ceremony.request(self._challenge(_get(account)), account.keys)}

    def used(self, account: Account, text: str) -> Account:
        """The account in which a key's answer is used up. Raises Unauthenticated."""
        if self._ceremony is None or not account.keys:
            raise _refused(account, "no key")
        try:
            response = self._ceremony.assertion(text)
            made = self._made_at(response.response.client_data.challenge, _get(account))
            if made <= account.asked_at:
                raise ValueError("the challenge was answered, or a later one")
            key, count = self._ceremony.asserted(response, account.keys, self._handle(account))
        except ValueError as error:
            raise _refused(account, error) from error
        if (key.count or count) and count <= key.count:  # WebAuthn 7.2, step 22
            self._desk.tell("operator.key.cloned", operator=account.name, detail=key.name)
            raise _refused(account, f"the counter of {key.name} went back: there may be a copy")
        keys = tuple(replace(each, count=count) if each is key else each for each in account.keys)
        return replace(account, keys=keys, asked_at=made)

    def _possible(self) -> "_Ceremony":
        if self._ceremony is None:
            raise Unfit(
                "security keys know names: give `admin.operators.origin` a name, like http://localhost:9901, not an address"
            )
        return self._ceremony

    def _challenge(self, bound: bytes) -> bytes:
        made = int(self._desk.clock.now() * PAST)
        return self._seal.close(secrets.token_bytes(RANDOM) + made.to_bytes(8, "big"), bound).encode("ascii")

    def _made_at(self, challenge: bytes, bound: bytes) -> int:
        """When a challenge was made, in microseconds. Raises ValueError for one that is not ours, not for this, or too old."""
        plain = self._seal.open(challenge, bound)
        if plain is None:
            raise ValueError("not a challenge for this")
        made = int.from_bytes(plain[RANDOM:], "big")
        if self._desk.clock.now() - made / PAST > SECONDS:
            raise ValueError("the challenge is too old")
        return made

    def _handle(self, account: Account) -> bytes:
        """WebAuthn 5.4.3: tells an authenticator accounts apart, and nobody whose it is."""
        return bytes.fromhex(self._seal.mark(f"webauthn\0{account.name}".encode()))


def _create(account: Account, session: str) -> bytes:
    return f"webauthn.create\0{account.name}\0{session}".encode()


def _get(account: Account) -> bytes:
    return f"webauthn.get\0{account.name}\0{account.stamp}".encode()


def _refused(account: Account, why: object) -> Unauthenticated:
    return Unauthenticated(f"operators: wrong answer of a key: {str(why)[:120]}", about=f"operator:{account.name}")
