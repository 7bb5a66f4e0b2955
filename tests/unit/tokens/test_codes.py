"""Authorization codes: once, for a minute, for whom they were issued to; what comes twice ends what was issued."""

import asyncio
from dataclasses import replace

import pytest

from gateway.core.session_store import SessionStore
from gateway.store.sessions import MemorySessions
from gateway.tokens.codes import Codes, Redemption, challenged
from gateway.tokens.granted import Granted
from gateway.tokens.refusals import Refused
from gateway.tokens.seals import Seals
from tests.fakes import SteppedClock

VERIFIER = "v" * 43
CALLBACK = "https://app.test/cb"


class Ended:
    """What was told to end."""

    def __init__(self) -> None:
        self.families: list[str] = []

    async def __call__(self, granted: Granted) -> None:
        self.families.append(granted.family)


def shown(
    code: str, *, client: str = "app", redirect_uri: str = CALLBACK, verifier: str = VERIFIER, jkt: str | None = None
) -> Redemption:
    return Redemption(code, client, redirect_uri, verifier, jkt)


async def begun(granted: Granted) -> str:
    """What was made of a code before it was used up."""
    return granted.family


async def redeemed(codes: Codes, redemption: Redemption) -> Granted:
    granted, made = await codes.redeem(redemption, begun)
    assert made == granted.family
    return granted


async def issued(codes: Codes, granted: Granted) -> str:
    return await codes.issue(granted, CALLBACK, challenged(VERIFIER))


async def refused(codes: Codes, redemption: Redemption) -> Refused:
    with pytest.raises(Refused) as found:
        await codes.redeem(redemption, begun)
    assert found.value.error == "invalid_grant"
    return found.value


async def test_a_code_gives_what_was_granted_once_at_any_replica(
    stores: tuple[SessionStore, SessionStore], seals: Seals, granted: Granted
) -> None:
    ended = Ended()
    one, other = (Codes(store, seals, ended) for store in stores)
    code = await issued(one, granted)
    assert await redeemed(other, shown(code)) == granted
    assert ended.families == []
    for each in (one, other):
        refusal = await refused(each, shown(code))
        assert refusal.reused == granted
    assert ended.families == [granted.family] * 2


async def test_of_many_who_bring_a_code_at_once_one_gets_something_and_that_is_ended(
    stores: tuple[SessionStore, SessionStore], seals: Seals, granted: Granted
) -> None:
    ended = Ended()
    both = [Codes(store, seals, ended) for store in stores]
    code = await issued(both[0], granted)
    answers = await asyncio.gather(*(redeemed(each, shown(code)) for each in both * 5), return_exceptions=True)
    assert sum(answer == granted for answer in answers) == 1
    assert sum(isinstance(answer, Refused) for answer in answers) == 9
    assert ended.families == [granted.family] * 9


@pytest.mark.parametrize(
    "over",
    [
        {"client": "evil"},
        {"redirect_uri": "https://app.test/cb/"},
        {"redirect_uri": ""},
        {"redirect_uri": "\udc80"},
        {"verifier": "w" * 43},
        {"verifier": ""},
        {"verifier": challenged(VERIFIER)},
        {"verifier": "v" * 129},
        {"code": "A" * 43},
        {"code": ""},
        {"code": "../x"},
    ],
)
async def test_code_injection_a_code_is_of_no_use_to_another(
    clock: SteppedClock, seals: Seals, granted: Granted, over: dict[str, str]
) -> None:
    """RFC 9700 4.5: and its owner may still use it."""
    codes = Codes(MemorySessions(clock, 10), seals, Ended())
    code = await issued(codes, granted)
    assert (await refused(codes, shown(**({"code": code} | over)))).guess
    assert await redeemed(codes, shown(code)) == granted


async def test_a_code_bound_to_a_key_is_of_no_use_without_it(clock: SteppedClock, seals: Seals, granted: Granted) -> None:
    """RFC 9449 10."""
    codes = Codes(MemorySessions(clock, 10), seals, Ended())
    bound = replace(granted, jkt="j" * 43)
    code = await issued(codes, bound)
    await refused(codes, shown(code))
    await refused(codes, shown(code, jkt="k" * 43))
    assert await redeemed(codes, shown(code, jkt="j" * 43)) == bound


async def test_a_code_is_good_for_a_minute_and_known_as_used_for_longer(
    clock: SteppedClock, seals: Seals, granted: Granted
) -> None:
    codes = Codes(MemorySessions(clock, 10), seals, Ended())
    late, used = await issued(codes, granted), await issued(codes, granted)
    clock.step(59)
    await redeemed(codes, shown(used))
    clock.step(1)
    assert (await refused(codes, shown(late))).reused is None
    clock.step(800)
    assert (await refused(codes, shown(used))).reused == granted


async def test_a_used_code_is_known_for_as_long_as_a_token_of_it_may_live(
    clock: SteppedClock, seals: Seals, granted: Granted
) -> None:
    codes = Codes(MemorySessions(clock, 10), seals, Ended(), 86400.0)
    code = await issued(codes, granted)
    await redeemed(codes, shown(code))
    clock.step(86300)
    assert (await refused(codes, shown(code))).reused == granted


async def test_a_store_holds_no_code_and_another_key_opens_none(clock: SteppedClock, seals: Seals, granted: Granted) -> None:
    store = MemorySessions(clock, 10)
    codes = Codes(store, seals, Ended())
    code = await issued(codes, granted)
    [(name, entry)] = store._entries.items()
    for told in (code, "alice", "app.test", VERIFIER, granted.family):
        assert told not in name + entry.sealed
    moved = await issued(codes, replace(granted, subject="mallory"))
    [other] = [each for each in store._entries if each != name]
    store._entries[other].sealed = entry.sealed
    await refused(codes, shown(moved))
