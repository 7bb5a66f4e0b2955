"""A placeholder is spent by whom it was made for, where it was made for, while it is good."""

import base64
from typing import Any

import pytest

from gateway.core.decision import AccessRequest, Permit
from gateway.core.errors import Forbidden, Ungranted
from gateway.core.message import Outbound, Response
from gateway.core.principal import ANONYMOUS, Identity, Principal
from gateway.core.secret import Secret
from gateway.credentials.captured import placeholder, used
from gateway.credentials.captured.injector import CapturedInjector
from gateway.credentials.captured.model import Capture, Captured
from gateway.credentials.captured.used import Used
from gateway.credentials.injectors import build, capturing
from gateway.credentials.vault.fault import NotOpened
from gateway.credentials.vault.keys import LocalKey
from gateway.credentials.vault.ring import Ring
from tests.fakes import CountingMetrics
from tests.issuer import FixedSecret, FrozenClock
from tests.minting import Told, workshop
from tests.scripted import outbound, principal, request

TOKEN = b"minted-token-of-somebody"


def key(number: int) -> LocalKey:
    return LocalKey(f"k{number}", Secret(base64.b64encode(bytes(range(number, number + 32)))))


class Unasked:
    """A way to an upstream that nobody goes."""

    async def send(self, outbound: Outbound) -> Response:
        raise AssertionError("sent")

    async def upgrade(self, outbound: Outbound, protocols: tuple[bytes, ...]) -> Response:
        raise AssertionError("upgraded")


class Bench:
    def __init__(self, *keys: int, **model: Any) -> None:
        self.clock, self.metrics, self.told = FrozenClock(), CountingMetrics(), Told()
        self.ring = Ring([key(number) for number in keys or (1,)], self.clock.now)
        house = Used(self.ring, self.clock, self.metrics, self.told)
        self.injector = CapturedInjector("minted", Captured(inject="captured", **model), house)

    async def made(self, lifetime: int = 600, who: Principal | None = None) -> bytes:
        where = placeholder.place("minted", (who or principal()).key)
        text = await placeholder.sealed(self.ring, where, TOKEN, int(self.clock.now()) + lifetime)
        return text.encode()

    async def spent(self, value: bytes | None, who: Principal | None = None) -> Outbound:
        made = outbound()
        asked = request(*([(b"authorization", value)] if value is not None else []))
        coming = self.injector.inject(made, Permit(who or principal(), AccessRequest(asked, "r", "u", {}, 0.0), None))
        if coming is not None:
            await coming
        return made

    async def refused(self, value: bytes, who: Principal | None = None) -> str:
        with pytest.raises(Forbidden) as caught:
            await self.spent(value, who)
        assert caught.value.reason == "upstream-credential-missing"
        name, fields = self.told.events[-1]
        assert name == "placeholder.refused"
        assert self.metrics.counted("gateway.credentials.placeholders", credential="minted", outcome=fields["fault"])
        return str(fields["fault"])


async def test_it_is_good_until_its_end_also_when_it_was_spent_before() -> None:
    bench = Bench()
    value = b"Bearer " + await bench.made(600)
    assert (await bench.spent(value)).lines == [b"authorization: Bearer " + TOKEN + b"\r\n"]
    bench.clock.advance(599)
    assert (await bench.spent(value)).secrets[0].replaced(b"<" + TOKEN + b">") == b"<REDACTED>"
    bench.clock.advance(1)
    assert await bench.refused(value) == "expired"
    assert await bench.refused(b"Bearer " + await bench.made(0)) == "expired"


async def test_a_key_added_in_front_opens_what_the_old_one_sealed_and_one_that_is_gone_nothing() -> None:
    value = b"Bearer " + await Bench(1).made()
    assert (await Bench(2, 1).spent(value)).lines
    assert await Bench(2).refused(value) == "unknown-key"


async def test_what_was_captured_before_a_time_is_refused_and_later_ones_are_not() -> None:
    old = b"Bearer " + await Bench().made()
    bench = Bench(issued_after="2027-01-15T08:00:01Z")  # a second after the clock's
    assert await bench.refused(old) == "revoked"
    bench.clock.advance(1)
    assert (await bench.spent(b"Bearer " + await bench.made())).lines


async def test_it_is_bound_to_issuer_and_id_that_no_other_pair_spells() -> None:
    bench = Bench()
    value = await bench.made(who=principal("a", "b:c"))
    assert (await bench.spent(value, principal("a", "b:c"))).lines
    assert await bench.refused(value, principal("a:b", "c")) == "altered"
    assert await bench.refused(value, principal("a", "b")) == "altered"


async def test_a_sealed_value_of_another_place_is_no_placeholder() -> None:
    """An entry of `sealed:` or a grant, written as a placeholder: its encryption is bound to where it stands."""
    bench = Bench()
    sealed = bench.ring.seal(b"elsewhere", Secret(bytes(8) + TOKEN)).replace("lgs1:", "lgp1_").replace(":", "~")
    assert await bench.refused(sealed.encode()) == "altered"


async def test_nobody_and_nothing_have_no_credential() -> None:
    bench = Bench()
    with pytest.raises(Ungranted):
        await bench.spent(None)
    nobody = Principal(Identity(id=ANONYMOUS, issuer=ANONYMOUS, scheme=ANONYMOUS))
    with pytest.raises(Ungranted):
        await bench.spent(await bench.made(), nobody)


async def test_what_is_remembered_is_bounded_and_bad_ones_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    values = [await bench.made() for _ in range(4)]
    for value in values:
        await bench.spent(value)
        await bench.refused(value[:-2])
    assert len(bench.injector._opened) == 4
    monkeypatch.setattr(used, "EACH", 4)
    await bench.spent(await bench.made())
    assert len(bench.injector._opened) == 4


@pytest.mark.parametrize("size", [1, 15, placeholder.MOST])
async def test_the_longest_credential_has_a_placeholder_that_opens(size: int) -> None:
    bench = Bench()
    text = await placeholder.sealed(bench.ring, b"there", b"x" * size, 7)
    assert len(text) < placeholder.LONGEST
    found = await placeholder.opened(bench.ring, b"there", text)
    assert (found.secret.reveal(), found.expires, found.captured_at) == (b"x" * size, 7, int(bench.clock.now()))
    with pytest.raises(NotOpened):
        await placeholder.opened(bench.ring, b"here", text)


def test_without_keys_nothing_is_sealed_and_nothing_starts() -> None:
    shop = workshop(lambda reference: FixedSecret(b"x"))
    with pytest.raises(ValueError, match="what is captured is sealed: add `vault"):
        build("minted", Captured(inject="captured"), shop)
    with pytest.raises(ValueError, match="what is captured is sealed"):
        capturing(Unasked(), Capture(spend_with="minted", fields=["/token"]), "r", "u", shop)
    way = Unasked()
    assert capturing(way, None, "r", "u", shop) is way
