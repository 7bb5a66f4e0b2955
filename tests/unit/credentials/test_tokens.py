"""Minted tokens: one mint however many ask, ahead of the end, kept while the mint is down, never a request without one."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.core.errors import DependencyDown, GatewayError, Ungranted
from gateway.credentials.token import Fresh, Wanted
from gateway.credentials.tokens import AT_ONCE, MOST_MINTING, Tokens
from tests.issuer import Counted, FrozenClock
from tests.minting import Told


class Press:
    """Mints what a test lets it, and counts."""

    def __init__(self, lifetime: float = 3600.0) -> None:
        self.lifetime = lifetime
        self.minted = 0
        self.busy = 0
        self.most = 0
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self) -> Fresh:
        self.minted += 1
        number = self.minted
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            await self.open.wait()
        finally:
            self.busy -= 1
        if self.error is not None:
            raise self.error
        return Fresh(b"token-%d" % number, self.lifetime)


class Held:
    """Tokens of one credential with everything around them."""

    def __init__(self, **options: Any) -> None:
        self.clock = FrozenClock()
        self.metrics = Counted()
        self.told = Told()
        self.press = Press()
        self.tokens = Tokens("crm", self.clock, self.metrics, self.told, provider="mint.test", jitter=lambda: 0.0, **options)

    def wanted(self, key: str = "", **options: Any) -> Wanted:
        return Wanted(key, self.press, **options)

    async def line(self, key: str = "") -> bytes:
        return (await self.tokens.get(self.wanted(key))).line

    async def settle(self) -> None:
        """What is under way is over."""
        await asyncio.gather(*self.tokens._tasks)


@pytest.fixture
async def held() -> AsyncIterator[Held]:
    made = Held()
    yield made
    made.press.open.set()
    await made.tokens.close()


async def test_a_thousand_requests_at_once_make_one_mint_and_get_its_token(held: Held) -> None:
    held.press.open.clear()
    waiting = [asyncio.create_task(held.line()) for _ in range(1000)]
    await asyncio.sleep(0)
    held.press.open.set()
    assert set(await asyncio.gather(*waiting)) == {b"authorization: Bearer token-1\r\n"}
    assert held.press.minted == 1
    assert held.told.events == [
        (
            "token.refreshed",
            {
                "credential": "crm",
                "provider": "mint.test",
                "expires_at": "2027-01-15T08:59:55+00:00",
                "issuer": None,
                "subject": None,
            },
        )
    ]


async def test_a_waiter_that_leaves_takes_the_mint_from_nobody(held: Held) -> None:
    held.press.open.clear()
    first, second = asyncio.create_task(held.line()), asyncio.create_task(held.line())
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    held.press.open.set()
    assert await second == b"authorization: Bearer token-1\r\n"
    assert held.press.minted == 1


async def test_the_old_token_serves_while_the_next_is_minted_ahead_of_its_end(held: Held) -> None:
    await held.line()
    held.clock.advance(2879)
    assert await held.line() == b"authorization: Bearer token-1\r\n"
    assert held.press.minted == 1
    held.press.open.clear()
    held.clock.advance(1)
    for _ in range(50):
        token = held.tokens.ready(held.wanted())
        assert token is not None
        assert b"token-1" in token.line
    await asyncio.sleep(0)
    assert held.press.minted == 2
    held.press.open.set()
    await held.settle()
    assert await held.line() == b"authorization: Bearer token-2\r\n"


@pytest.mark.parametrize(
    ("lifetime", "ahead", "due", "ends"),
    [(3600, 60, 2880, 3595), (3600, 300, 2880, 3595), (600, 60, 480, 595), (600, 300, 300, 595), (200, 60, 140, 195), (60, 60, 30, 55), (2, 60, 1, 1.8), (10**9, 60, 69120, 86395)],
)  # fmt: skip
async def test_when_a_token_is_asked_for_again_and_when_it_is_over(
    lifetime: float, ahead: float, due: float, ends: float, held: Held
) -> None:
    held.press.lifetime = lifetime
    start = held.clock.monotonic()
    token = await held.tokens.get(held.wanted(ahead=ahead))
    assert token.due - start == pytest.approx(due)
    assert token.ends - start == pytest.approx(ends)
    held.clock.advance(ends + 0.01)
    assert held.tokens.ready(held.wanted(ahead=ahead)) is None


async def test_a_token_serves_until_its_end_while_nobody_mints_and_then_there_is_none(held: Held) -> None:
    await held.line()
    held.press.error = DependencyDown("mint.test: ConnectError")
    held.clock.advance(2880)
    assert await held.line() == b"authorization: Bearer token-1\r\n"
    await held.settle()
    held.clock.advance(700)
    assert await held.line() == b"authorization: Bearer token-1\r\n"
    await held.settle()
    held.clock.advance(16)
    with pytest.raises(DependencyDown, match=r"crm: mint\.test: ConnectError") as caught:
        await held.line()
    assert caught.value.status == 503
    held.press.error = None
    held.clock.advance(60)
    assert b"token-" in await held.line()


async def test_failed_mints_come_ever_more_rarely(held: Held) -> None:
    held.press.error = DependencyDown("down")
    tried = []
    for second in range(200):
        before = held.press.minted
        with pytest.raises(DependencyDown):
            await held.line()
        if held.press.minted > before:
            tried.append(second)
        held.clock.advance(1)
    assert tried == [0, 1, 3, 7, 15, 31, 61, 91, 121, 151, 181]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DependencyDown("down"), DependencyDown),
        (Ungranted("not for this one"), Ungranted),
        (ValueError("unfit"), DependencyDown),
        (RuntimeError("canary-in-a-bug"), DependencyDown),
    ],
)
async def test_each_request_gets_an_error_of_its_own_kind_and_its_own(
    error: Exception, kind: type[GatewayError], held: Held
) -> None:
    held.press.error = error
    caught = [await refused(held) for _ in range(3)]
    assert {type(each) for each in caught} == {kind}
    assert len({id(each) for each in caught}) == 3
    assert "canary" not in str(caught)
    assert held.press.minted == 1


async def refused(held: Held) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await held.line()
    return caught.value


@pytest.mark.parametrize("value", [b"", b"a\r\nX-Evil: 1", b"a\x00", b" a", "ä".encode()])
async def test_a_token_that_no_header_field_can_carry_is_none(value: bytes, held: Held) -> None:
    async def mint() -> Fresh:
        return Fresh(value, 60)

    with pytest.raises(DependencyDown) as caught:
        await held.tokens.get(Wanted("", mint))
    assert "Evil" not in str(caught.value)


async def test_each_key_has_its_own_token(held: Held) -> None:
    assert len({await held.line(str(key)) for key in range(10)}) == 10


async def test_of_more_tokens_than_there_is_room_for_the_least_used_is_minted_again() -> None:
    held = Held(most=3)
    for key in "abc":
        await held.line(key)
    await held.line("a")
    await held.line("d")
    assert await held.line("a") == b"authorization: Bearer token-1\r\n"
    assert await held.line("b") == b"authorization: Bearer token-5\r\n"
    assert held.tokens.status()["tokens"] == 3


async def test_few_mints_run_at_once_and_a_flood_of_keys_is_refused(held: Held) -> None:
    held.press.open.clear()
    waiting = [asyncio.create_task(held.line(str(key))) for key in range(MOST_MINTING)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(DependencyDown, match="being minted already"):
        await held.line("one more")
    held.press.open.set()
    await asyncio.gather(*waiting)
    assert held.press.most == AT_ONCE


async def test_nobody_waits_for_ever() -> None:
    held = Held(wait=0.01)
    held.press.open.clear()
    with pytest.raises(DependencyDown, match="no token within"):
        await held.line()
    await held.tokens.close()


async def test_closing_lets_a_mint_end_that_is_nearly_done(held: Held) -> None:
    """A reload takes a credential away while requests of the old configuration wait for its token."""
    held.press.open.clear()
    waiting = asyncio.create_task(held.line())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    closing = asyncio.create_task(held.tokens.close())
    await asyncio.sleep(0)
    held.press.open.set()
    await closing
    assert await waiting == b"authorization: Bearer token-1\r\n"


async def test_closing_ends_mints_that_hang_and_tells_who_waits() -> None:
    held = Held(grace=0.01)
    held.press.open.clear()
    waiting = asyncio.create_task(held.line())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await held.tokens.close()
    with pytest.raises(DependencyDown, match="closing"):
        await waiting


async def test_a_refused_token_is_replaced_once_for_all_who_sent_it(held: Held) -> None:
    line = await held.line()
    found = await asyncio.gather(*(held.tokens.renewed(held.wanted(), [b"a: b\r\n", line]) for _ in range(100)))
    assert {(refused, token.line) for refused, token in filter(None, found)} == {(line, b"authorization: Bearer token-2\r\n")}
    assert None not in found
    assert held.press.minted == 2
    late = await held.tokens.renewed(held.wanted(), [line])
    assert late is not None
    assert late[1].line == b"authorization: Bearer token-2\r\n"
    assert held.press.minted == 2


async def test_an_upstream_that_refuses_every_token_causes_one_mint_in_a_while(held: Held) -> None:
    for _ in range(20):
        await held.tokens.renewed(held.wanted(), [await held.line()])
    assert held.press.minted == 2
    held.clock.advance(30)
    assert await held.tokens.renewed(held.wanted(), [await held.line()]) is not None
    assert held.press.minted == 3


async def test_a_token_that_is_not_ours_or_cannot_be_replaced_stays_refused(held: Held) -> None:
    assert await held.tokens.renewed(held.wanted(), [b"authorization: Bearer x\r\n"]) is None
    line = await held.line()
    assert await held.tokens.renewed(held.wanted(), [b"authorization: Bearer x\r\n"]) is None
    held.press.error = DependencyDown("down")
    assert await held.tokens.renewed(held.wanted(), [line]) is None
    assert await held.line() == line
    assert held.press.minted == 2


async def test_status_and_metrics_tell_no_token(held: Held) -> None:
    await held.line()
    held.clock.advance(595)
    assert held.tokens.status() == {"tokens": 1, "minting": 0, "expires": 3000.0, "error": None}
    held.press.error = DependencyDown("mint.test: answered 401 invalid_client")
    with pytest.raises(DependencyDown):
        await held.line("other")
    assert held.tokens.status()["error"] == "mint.test: answered 401 invalid_client"
    assert held.metrics.counts == [
        ("gateway.tokens.minted", {"credential": "crm", "outcome": "success"}),
        ("gateway.tokens.minted", {"credential": "crm", "outcome": "failure"}),
    ]
    assert "token-1" not in repr((held.tokens.status(), held.metrics.counts, held.told.events))


async def test_what_ends_first_and_what_failed_last_is_told_to_who_looks() -> None:
    held = Held()
    labels = {"credential": "crm"}
    assert list(held.tokens.levels()) == [("gateway.tokens.last_error", 0.0, labels)]
    await held.line("a")
    held.press.lifetime = 600.0
    await held.line("b")
    levels = {name: (value, told) for name, value, told in held.tokens.levels()}
    assert 0 < levels["gateway.tokens.expiry"][0] <= 600
    assert levels["gateway.tokens.expiry"][1] == labels
    held.press.error = Ungranted("not for you")
    with pytest.raises(GatewayError):
        await held.line("c")
    assert {name: value for name, value, _ in held.tokens.levels()}["gateway.tokens.last_error"] == 0.0
    held.press.error = DependencyDown("away")
    with pytest.raises(DependencyDown):
        await held.line("d")
    assert {name: value for name, value, _ in held.tokens.levels()}["gateway.tokens.last_error"] == held.clock.now()
    await held.tokens.close()
