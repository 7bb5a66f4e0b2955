"""Consents and the login sessions behind them."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.authn.own.revoked import Revoked
from gateway.authn.strength import StrongSecret
from gateway.store.sessions import MemorySessions
from gateway.tokens.consents import Consents
from gateway.tokens.granted import OFFLINE, Granted
from gateway.tokens.model import Client, Tokens
from gateway.tokens.refusals import Refused
from tests.fakes import SteppedClock
from tests.unit.tokens.conftest import Held

MODEL = Tokens.model_validate({"issuer": "https://gw.test", "key": {"env": "KEY"}})
CLIENT = {"auth": "none", "grants": ["authorization_code", "refresh_token"], "redirect_uris": ["https://app.test/cb"]}


class House:
    """Consents of one replica; `looks` are what each look at the login session finds, the last for ever."""

    def __init__(self, clock: SteppedClock, *looks: bool, clients: dict[str, Any] | None = None) -> None:
        self.looks = list(looks)
        self.revoked = Revoked(clock)
        identity = SimpleNamespace(issuer="corp", id="alice", groups=("staff",), claims={})
        self.live = SimpleNamespace(identity=identity)
        logins: Any = SimpleNamespace(sessions=SimpleNamespace(behind=self._behind))
        models = {name: Client.model_validate(each) for name, each in ({"app": CLIENT} if clients is None else clients).items()}
        told: Any = {"tell": lambda *_, **__: None, "signal": lambda *_, **__: None}
        store = MemorySessions(clock, 100)
        self.consents = Consents(MODEL, models, logins, store, [StrongSecret(Held())], self.revoked, clock, **told)

    async def _behind(self, _: str) -> Any:
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return self.live if found else None


@pytest.mark.parametrize("looks", [(False,), (True, False)], ids=["before", "while the family begins"])
@pytest.mark.parametrize("scopes", [("notes:read",), ("notes:read", OFFLINE)])
async def test_a_code_gives_nothing_when_the_login_ends_first(
    clock: SteppedClock, granted: Granted, looks: tuple[bool, ...], scopes: tuple[str, ...]
) -> None:
    house = House(clock, *looks)
    with pytest.raises(Refused, match="is over"):
        await house.consents.begin(replace(granted, scopes=scopes), refreshes=True)
    assert await house.consents.families.listed("who", "corp", "alice") == []
    assert house.revoked.has([granted.family]) is (len(looks) == 2)


async def test_what_outlives_its_login_ends_when_its_client_sends_nobody_any_more(clock: SteppedClock, granted: Granted) -> None:
    house = House(clock, False, clients={})
    token = await house.consents.families.open(replace(granted, scopes=("notes:read", OFFLINE)))
    with pytest.raises(Refused, match="is over"):
        await house.consents.families.refresh(token, "app", None)
    assert house.revoked.has([granted.family])
