"""Key sets stay fresh, are fetched once for all who wait, and outlive an issuer's outage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.authn import key_sources
from gateway.authn.jwks import COOLDOWN, MAX_STALE, NEGATIVE, PublishedKeys, SharedKeys
from gateway.authn.jwks_model import Jwks
from gateway.authn.strength import StrongSecret
from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetched
from tests.issuer import ISSUER, JWKS_URL, Counted, FixedSecret, FrozenClock, Held, RsaKey, ScriptedFetch, SharedKey, answer, jwks

DISCOVERY_URL = "https://idp.example.com/.well-known/openid-configuration"
OAUTH_URL = "https://idp.example.com/.well-known/oauth-authorization-server"


def published(fetch: ScriptedFetch, clock: FrozenClock, *, sleep: Any = asyncio.sleep, **more: Any) -> PublishedKeys:
    model = Jwks(**({"url": JWKS_URL} | more))
    return PublishedKeys("corp", key_sources.build(ISSUER, model, fetch), clock, Counted(), sleep=sleep, jitter=lambda: 0.0)


class Pause:
    """A sleep that ends when the test says so, having moved the clock."""

    def __init__(self, clock: FrozenClock) -> None:
        self.clock = clock
        self.asked: asyncio.Queue[float] = asyncio.Queue()
        self.go = asyncio.Semaphore(0)

    async def __call__(self, seconds: float) -> None:
        await self.asked.put(seconds)
        await self.go.acquire()
        self.clock.advance(seconds)

    async def end(self) -> float:
        seconds = await self.asked.get()
        self.go.release()
        return seconds


@asynccontextmanager
async def running(keys: PublishedKeys) -> AsyncIterator[PublishedKeys]:
    keys.start()
    keys.start()
    try:
        yield keys
    finally:
        await keys.close()


async def test_many_waiters_share_one_fetch(fetch: ScriptedFetch, clock: FrozenClock, rsa_key: RsaKey) -> None:
    held = Held(answer(jwks(rsa_key)))
    fetch.answers[JWKS_URL] = held
    keys = published(fetch, clock)
    waiters = [asyncio.create_task(keys.find("RS256", "rsa-1")) for _ in range(50)]
    await held.asked.wait()
    held.go.set()
    found = await asyncio.gather(*waiters)
    assert {len(each) for each in found} == {1}
    assert fetch.asked == [JWKS_URL]


async def test_a_cancelled_waiter_does_not_cancel_the_fetch_of_the_others(
    fetch: ScriptedFetch, clock: FrozenClock, rsa_key: RsaKey
) -> None:
    held = Held(answer(jwks(rsa_key)))
    fetch.answers[JWKS_URL] = held
    keys = published(fetch, clock)
    first = asyncio.create_task(keys.find("RS256", "rsa-1"))
    second = asyncio.create_task(keys.find("RS256", "rsa-1"))
    await held.asked.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    held.go.set()
    assert len(await second) == 1
    assert len(fetch.asked) == 1


async def test_while_never_loaded_a_fetch_is_tried_at_most_once_a_second(
    fetch: ScriptedFetch, clock: FrozenClock, rsa_key: RsaKey
) -> None:
    fetch.answers[JWKS_URL] = DependencyDown("idp.example.com: refused")
    keys = published(fetch, clock)
    for _ in range(5):
        with pytest.raises(DependencyDown, match="refused"):
            await keys.find("RS256", "rsa-1")
    assert len(fetch.asked) == 1
    clock.advance(1.0)
    fetch.answers[JWKS_URL] = answer(jwks(rsa_key))
    assert len(await keys.find("RS256", "rsa-1")) == 1
    assert len(fetch.asked) == 2


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(Fetched(500, {}, b""), id="500"),
        pytest.param(Fetched(302, {"location": "https://elsewhere.example/"}, b""), id="redirect"),
        pytest.param(Fetched(200, {}, b"<html>"), id="html"),
        pytest.param(Fetched(200, {}, b'{"keys":[]}'), id="no keys"),
    ],
)
async def test_a_bad_answer_is_no_key_set_and_keeps_the_last_good_one(
    bad: Fetched, fetch: ScriptedFetch, clock: FrozenClock, rsa_key: RsaKey
) -> None:
    fetch.answers[JWKS_URL] = bad
    keys = published(fetch, clock)
    with pytest.raises(DependencyDown):
        await keys.find("RS256", "rsa-1")
    clock.advance(1)
    fetch.answers[JWKS_URL] = answer(jwks(rsa_key))
    await keys.find("RS256", "rsa-1")
    fetch.answers[JWKS_URL] = bad
    assert await keys.find("RS256", "another") == ()
    assert len(await keys.find("RS256", "rsa-1")) == 1
    assert keys.status()["error"]


async def test_an_unknown_kid_causes_one_fetch_in_thirty_seconds(fetch: ScriptedFetch, clock: FrozenClock, rsa_key: RsaKey) -> None:
    fetch.answers[JWKS_URL] = answer(jwks(rsa_key))
    keys = published(fetch, clock)
    await keys.find("RS256", "rsa-1")
    for number in range(100):
        assert await keys.find("RS256", f"random-{number}") == ()
    assert len(fetch.asked) == 2
    clock.advance(COOLDOWN)
    assert await keys.find("RS256", "random-100") == ()
    assert len(fetch.asked) == 3


async def test_a_kid_that_was_just_asked_for_in_vain_does_not_use_up_the_next_fetch(
    fetch: ScriptedFetch, clock: FrozenClock, rsa_key: RsaKey, other_rsa_key: RsaKey
) -> None:
    fetch.answers[JWKS_URL] = answer(jwks(rsa_key))
    keys = published(fetch, clock)
    await keys.find("RS256", "gone")
    assert len(fetch.asked) == 2
    clock.advance(COOLDOWN)
    assert await keys.find("RS256", "gone") == ()
    assert len(fetch.asked) == 2
    fetch.answers[JWKS_URL] = answer(jwks(rsa_key, other_rsa_key))
    assert len(await keys.find("RS256", "rsa-2")) == 1
    clock.advance(NEGATIVE)
    await keys.find("RS256", "gone")
    assert len(fetch.asked) == 4


async def test_an_algorithm_without_any_key_causes_no_more_fetches_than_an_unknown_kid(
    fetch: ScriptedFetch, clock: FrozenClock, rsa_key: RsaKey
) -> None:
    fetch.answers[JWKS_URL] = answer(jwks(rsa_key))
    keys = published(fetch, clock)
    for _ in range(10):
        assert await keys.find("ES256", None) == ()
        assert await keys.find("ES256", "rsa-1") == ()
    assert len(fetch.asked) == 2


async def test_a_rotated_key_is_found_at_once_and_changes_the_revision(
    fetch: ScriptedFetch, clock: FrozenClock, rsa_key: RsaKey, other_rsa_key: RsaKey
) -> None:
    fetch.answers[JWKS_URL] = answer(jwks(rsa_key))
    keys = published(fetch, clock)
    await keys.find("RS256", "rsa-1")
    before = keys.revision
    fetch.answers[JWKS_URL] = answer(jwks(other_rsa_key))
    assert len(await keys.find("RS256", "rsa-2")) == 1
    assert keys.revision != before
    assert await keys.find("RS256", "rsa-1") == ()


async def test_the_same_set_again_keeps_the_revision(fetch: ScriptedFetch, clock: FrozenClock, rsa_key: RsaKey) -> None:
    fetch.answers[JWKS_URL] = answer(jwks(rsa_key))
    keys = published(fetch, clock)
    await keys.find("RS256", "rsa-1")
    before = keys.revision
    await keys.find("RS256", "unknown")
    assert (len(fetch.asked), keys.revision) == (2, before)


@pytest.mark.parametrize(
    ("cache_control", "pause"),
    [
        ("max-age=1000", 800),
        ("public, MAX-AGE=1000, x", 800),
        ("max-age=1", 48),
        ("max-age=9999999", 0.8 * 86400),
        ("no-store", 480),
        ("", 480),
        ('max-age="1000"', 800),
        ("x-max-age=5000", 480),
        ("max-age=12junk", 480),
    ],
)
async def test_a_set_is_asked_for_again_when_four_fifths_of_its_freshness_are_over(
    cache_control: str, pause: float, fetch: ScriptedFetch, clock: FrozenClock, rsa_key: RsaKey
) -> None:
    fetch.answers[JWKS_URL] = Fetched(200, {"cache-control": cache_control}, jwks(rsa_key))
    wait = Pause(clock)
    async with running(published(fetch, clock, sleep=wait)):
        assert await wait.end() == pytest.approx(pause)
        await wait.asked.get()
        assert len(fetch.asked) == 2


async def test_an_issuer_that_is_down_is_asked_ever_less_often_and_its_keys_are_kept_for_a_day(
    fetch: ScriptedFetch, clock: FrozenClock, rsa_key: RsaKey
) -> None:
    fetch.answers[JWKS_URL] = answer(jwks(rsa_key), 60)
    wait = Pause(clock)
    async with running(published(fetch, clock, sleep=wait)) as keys:
        assert await wait.end() == 48
        fetch.answers[JWKS_URL] = DependencyDown("down")
        pauses = [await wait.end() for _ in range(8)]
        assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]
        assert len(await keys.find("RS256", "rsa-1")) == 1
        before = keys.revision
        clock.advance(MAX_STALE)
        assert keys.status()["loaded"] is False
        assert keys.revision != before
        with pytest.raises(DependencyDown):
            await keys.find("RS256", "rsa-1")
        clock.advance(1)
        fetch.answers[JWKS_URL] = answer(jwks(rsa_key))
        assert len(await keys.find("RS256", "rsa-1")) == 1


async def test_closing_ends_a_fetch_and_tells_who_waits(fetch: ScriptedFetch, clock: FrozenClock, rsa_key: RsaKey) -> None:
    held = Held(answer(jwks(rsa_key)))
    fetch.answers[JWKS_URL] = held
    keys = published(fetch, clock)
    waiter = asyncio.create_task(keys.find("RS256", "rsa-1"))
    await held.asked.wait()
    await keys.close()
    with pytest.raises(DependencyDown, match="closing"):
        await waiter
    await keys.close()


async def test_a_bug_in_a_source_is_an_outage_not_a_crash(clock: FrozenClock, caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> Fetched:
        raise RuntimeError("bug")

    keys = published(ScriptedFetch({JWKS_URL: broken}), clock)
    with pytest.raises(DependencyDown, match="internal error"):
        await keys.find("RS256", "rsa-1")
    assert "bug while fetching keys" in caplog.text


async def test_status_tells_what_operators_need(fetch: ScriptedFetch, clock: FrozenClock, rsa_key: RsaKey) -> None:
    keys = published(fetch, clock)
    assert keys.status() == {"loaded": False, "keys": 0, "age": None, "refused": [], "revision": 0, "error": None}
    fetch.answers[JWKS_URL] = answer(jwks(rsa_key, {"kty": "oct"}))
    await keys.find("RS256", "rsa-1")
    clock.advance(5)
    status = keys.status()
    assert (status["loaded"], status["keys"], status["age"], status["revision"], status["error"]) == (True, 1, 5.0, 1, None)
    assert "known to everybody" in status["refused"][0]


async def test_the_entrys_permissions_reach_the_fetch(fetch: ScriptedFetch, clock: FrozenClock, rsa_key: RsaKey) -> None:
    url = "http://10.0.0.1/keys"
    fetch.answers[url] = answer(jwks(rsa_key))
    keys = published(fetch, clock, url=url, allow_plaintext=True, allow_private=True, ca=Path("/ca.pem"))
    await keys.find("RS256", "rsa-1")
    assert fetch.options[0] == {"limit": 256 * 1024, "timeout": 10.0, "plaintext": True, "private": True, "ca": "/ca.pem"}


class TestDiscovery:
    def discovered(self, fetch: ScriptedFetch, clock: FrozenClock, **more: Any) -> PublishedKeys:
        return published(fetch, clock, url=None, discovery=True, **more)

    def metadata(self, issuer: str = ISSUER, uri: Any = JWKS_URL) -> Fetched:
        import json

        return answer(json.dumps({"issuer": issuer, "jwks_uri": uri}).encode())

    @pytest.mark.parametrize("url", [DISCOVERY_URL, OAUTH_URL])
    async def test_keys_are_found_through_either_document(
        self, url: str, fetch: ScriptedFetch, clock: FrozenClock, rsa_key: RsaKey
    ) -> None:
        fetch.answers |= {url: self.metadata(), JWKS_URL: answer(jwks(rsa_key))}
        assert len(await self.discovered(fetch, clock).find("RS256", "rsa-1")) == 1
        assert fetch.asked[-1] == JWKS_URL

    @pytest.mark.parametrize(
        "metadata",
        [
            pytest.param({"issuer": ISSUER.rstrip("/"), "jwks_uri": JWKS_URL}, id="issuer without its slash"),
            pytest.param({"issuer": "https://evil.example/", "jwks_uri": JWKS_URL}, id="another issuer"),
            pytest.param({"jwks_uri": JWKS_URL}, id="no issuer"),
            pytest.param({"issuer": ISSUER}, id="no jwks_uri"),
            pytest.param({"issuer": ISSUER, "jwks_uri": 1}, id="a number"),
            pytest.param({"issuer": ISSUER, "jwks_uri": "http://idp.example.com/keys"}, id="plaintext"),
            pytest.param({"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"}, id="file"),
            pytest.param({"issuer": ISSUER, "jwks_uri": "https://user:pass@idp.example.com/"}, id="userinfo"),
            pytest.param([], id="a list"),
        ],
    )
    async def test_a_document_that_is_not_the_issuers_own_is_refused(
        self, metadata: Any, fetch: ScriptedFetch, clock: FrozenClock, rsa_key: RsaKey
    ) -> None:
        import json

        fetch.answers |= {DISCOVERY_URL: answer(json.dumps(metadata).encode()), JWKS_URL: answer(jwks(rsa_key))}
        with pytest.raises(DependencyDown):
            await self.discovered(fetch, clock).find("RS256", "rsa-1")
        assert JWKS_URL not in fetch.asked

    @pytest.mark.parametrize(
        "body", [b"<html>", b'{"issuer":"https://idp.example.com/","issuer":"x"}'], ids=["html", "duplicate member"]
    )
    async def test_a_document_that_is_not_json_is_refused(self, body: bytes, fetch: ScriptedFetch, clock: FrozenClock) -> None:
        fetch.answers[DISCOVERY_URL] = answer(body)
        with pytest.raises(DependencyDown, match="not JSON"):
            await self.discovered(fetch, clock).find("RS256", "rsa-1")

    def test_both_places_follow_their_specifications(self) -> None:
        assert key_sources.openid_url("https://a.example/tenant/") == "https://a.example/tenant/.well-known/openid-configuration"
        assert (
            key_sources.oauth_url("https://a.example/tenant") == "https://a.example/.well-known/oauth-authorization-server/tenant"
        )


class TestFile:
    def keys(self, path: Path, clock: FrozenClock, wait: Any = asyncio.sleep) -> PublishedKeys:
        return published(ScriptedFetch(), clock, url=None, file=path, sleep=wait)

    async def test_a_replaced_file_is_taken_and_a_broken_one_is_not(
        self, tmp_path: Path, clock: FrozenClock, rsa_key: RsaKey, other_rsa_key: RsaKey
    ) -> None:
        path = tmp_path / "keys.json"
        path.write_bytes(jwks(rsa_key))
        wait = Pause(clock)
        async with running(self.keys(path, clock, wait)) as keys:
            await wait.asked.get()
            assert len(await keys.find("RS256", "rsa-1")) == 1
            path.write_bytes(b"{")
            wait.go.release()
            await wait.asked.get()
            assert len(await keys.find("RS256", "rsa-1")) == 1
            assert keys.status()["error"]
            path.write_bytes(jwks(other_rsa_key))
            wait.go.release()
            await wait.asked.get()
            assert len(await keys.find("RS256", "rsa-2")) == 1

    async def test_a_file_never_grows_stale(self, tmp_path: Path, clock: FrozenClock, rsa_key: RsaKey) -> None:
        path = tmp_path / "keys.json"
        path.write_bytes(jwks(rsa_key))
        keys = self.keys(path, clock)
        await keys.find("RS256", "rsa-1")
        path.unlink()
        clock.advance(MAX_STALE * 2)
        assert len(await keys.find("RS256", "rsa-1")) == 1

    async def test_a_missing_or_huge_file_is_an_outage(self, tmp_path: Path, clock: FrozenClock) -> None:
        path = tmp_path / "keys.json"
        keys = self.keys(path, clock)
        with pytest.raises(DependencyDown, match="No such file"):
            await keys.find("RS256", "rsa-1")
        path.write_bytes(b" " * (256 * 1024 + 1))
        clock.advance(1)
        with pytest.raises(DependencyDown, match="larger"):
            await keys.find("RS256", "rsa-1")


async def test_a_shared_secret_is_found_and_a_replaced_one_changes_the_revision() -> None:
    source = FixedSecret(b"0123456789abcdefghijklmnopqrstuv")
    keys = SharedKeys(StrongSecret(source), frozenset({"HS256"}))
    before = keys.revision
    (key,) = await keys.find("HS256", None)
    assert key.verifies("HS256", b"m", SharedKey(b"0123456789abcdefghijklmnopqrstuv").sign(b"m"))
    assert keys.revision == before
    source.replace(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345")
    assert keys.revision != before
    (key,) = await keys.find("HS256", None)
    assert not key.verifies("HS256", b"m", SharedKey(b"0123456789abcdefghijklmnopqrstuv").sign(b"m"))
