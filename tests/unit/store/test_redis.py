"""The shared counters, against real Redis processes: atomicity, failures, restarts, passwords, TLS."""

import asyncio
import shutil
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.store import memory
from gateway.store.quota import REFUSED, Algorithm, Quota
from gateway.store.redis import RedisCounters
from gateway.store.resp import MAX_PENDING
from gateway.store.script import SPEND
from gateway.store.server import parse, tls_context
from tests.redis_server import RedisServer

SECOND = 1_000_000
HOUR = Quota("hour", "sliding", 50, 3600 * SECOND)
DAY = Quota("day", "fixed", 120, 86400 * SECOND)
BURST = Quota("burst", "bucket", 70, 3600 * SECOND)


class PasswordFile:
    """A secret that may be replaced."""

    name = "file:password"

    def __init__(self, password: bytes | None) -> None:
        self.password = password

    def current(self) -> Secret:
        if self.password is None:
            raise DependencyDown("file:password is missing")
        return Secret(self.password)


@asynccontextmanager
async def counters(server: RedisServer, **options: object) -> AsyncIterator[RedisCounters]:
    store = RedisCounters(server.url, timeout=30, **options)  # type: ignore[arg-type]
    try:
        yield store
    finally:
        await store.close()


async def until_it_works(store: RedisCounters) -> list[tuple[int, int]]:
    async with asyncio.timeout(30):
        while True:
            try:
                return await store.spend([HOUR], ["k"])
            except DependencyDown:
                await asyncio.sleep(0.01)


async def test_two_hundred_concurrent_spends_admit_exactly_the_quota_and_burn_no_other(redis_server: RedisServer) -> None:
    async with counters(redis_server) as one, counters(redis_server) as other:
        spends = [store.spend([HOUR, DAY, BURST], ["k", "k", "k"]) for _ in range(100) for store in (one, other)]
        answers = await asyncio.gather(*spends)
        admitted = [answer for answer in answers if all(remaining != REFUSED for remaining, _ in answer)]
        assert len(admitted) == 50
        (day, _), (burst, _) = (await one.spend([DAY], ["k"]))[0], (await one.spend([BURST], ["k"]))[0]
        assert (day, burst) == (120 - 50 - 1, 70 - 50 - 1)


async def test_keys_tell_no_address_and_expire(redis_server: RedisServer) -> None:
    async with counters(redis_server) as store:
        await store.spend([HOUR, DAY, BURST], ["203.0.113.9"] * 3)
        with redis_server.client() as client:
            keys = client.keys("*")
            assert len(keys) == 3
            for key in keys:
                assert key.startswith(b"{latchgate}:")
                assert b"203.0.113.9" not in key + client.get(key)
                assert 0 < client.pttl(key) <= 2 * 86_400_000


async def test_forgotten_script_is_sent_again(redis_server: RedisServer) -> None:
    async with counters(redis_server) as store:
        await store.spend([HOUR], ["k"])
        with redis_server.client() as client:
            client.script_flush()
        assert (await store.spend([HOUR], ["k"]))[0][0] == 48


async def test_killed_server_is_an_error_at_once_and_found_again_after_its_restart(redis_server: RedisServer) -> None:
    async with counters(redis_server) as store:
        await store.spend([HOUR], ["k"])
        redis_server.kill()
        for _ in range(20):
            with pytest.raises(DependencyDown):
                await store.spend([HOUR], ["k"])
        redis_server.start()
        assert await until_it_works(store)


async def test_frozen_server_fails_every_waiting_caller_and_is_used_again_when_it_thaws(redis_server: RedisServer) -> None:
    store = RedisCounters(redis_server.url)
    try:
        await until_it_works(store)
        redis_server.freeze()
        answers = await asyncio.gather(*[store.spend([HOUR], ["k"]) for _ in range(50)], return_exceptions=True)
        assert all(isinstance(answer, DependencyDown) for answer in answers)
        redis_server.thaw()
        assert await until_it_works(store)
    finally:
        redis_server.thaw()
        await store.close()


async def test_cancelled_caller_does_not_shift_the_answers_of_others(redis_server: RedisServer) -> None:
    async with counters(redis_server) as store:
        await store.spend([HOUR], ["warm"])
        tasks = [asyncio.create_task(store.spend([Quota("q", "fixed", 1000 + n, 3600 * SECOND)], [f"k{n}"])) for n in range(50)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        for n, answer in enumerate(answers):
            if n % 2 == 0:
                assert isinstance(answer, asyncio.CancelledError)
            else:
                assert isinstance(answer, list)
                assert answer[0][0] == 1000 + n - 1


async def test_password_is_presented_and_read_again_when_it_changes(redis_server: RedisServer) -> None:
    redis_server.kill()
    redis_server.start(password="first-canary")
    secret = PasswordFile(b"first-canary")
    async with counters(redis_server, password=secret) as store:
        await store.spend([HOUR], ["k"])
        redis_server.kill()
        redis_server.start(password="second-canary")
        await until(store, "WRONGPASS")
        secret.password = b"second-canary"
        assert await until_it_works(store)


async def until(store: RedisCounters, detail: str) -> DependencyDown:
    """The first failure that tells `detail`."""
    async with asyncio.timeout(30):
        while True:
            try:
                await store.spend([HOUR], ["k"])
            except DependencyDown as error:
                if detail in error.detail:
                    return error
            await asyncio.sleep(0.01)


async def test_user_and_password_are_presented_together(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.acl_setuser("limits", enabled=True, passwords=["+canary"], keys=["*"], commands=["+@all"])
        client.acl_setuser("default", enabled=False)
    async with counters(redis_server, username="limits", password=PasswordFile(b"canary")) as store:
        assert await store.spend([HOUR], ["k"])


@pytest.mark.parametrize(
    ("password", "detail"),
    [(b"wrong-canary", "WRONGPASS"), (None, "no password")],
    ids=["wrong password", "no password to be had"],
)
async def test_failure_names_its_kind_and_never_the_password(
    redis_server: RedisServer, password: bytes | None, detail: str
) -> None:
    redis_server.kill()
    redis_server.start(password="right-canary")
    async with counters(redis_server, password=PasswordFile(password)) as store:
        error = await until(store, detail)
        chain: BaseException | None = error
        while chain is not None:
            assert "canary" not in repr(chain) + str(chain)
            chain = chain.__cause__ or chain.__context__


async def test_missing_password_is_noauth(redis_server: RedisServer) -> None:
    redis_server.kill()
    redis_server.start(password="right-canary")
    async with counters(redis_server) as store:
        await until(store, "NOAUTH")


async def test_full_server_is_a_failure_and_not_a_free_pass(redis_server: RedisServer) -> None:
    async with counters(redis_server) as store:
        await store.spend([HOUR], ["k"])
        with redis_server.client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "1")
            await until(store, "OOM")
            client.config_set("maxmemory", "0")
        await until_it_works(store)


async def test_foreign_value_under_our_key_is_a_failure(redis_server: RedisServer) -> None:
    async with counters(redis_server) as store:
        await store.spend([HOUR], ["k"])
        with redis_server.client() as client:
            (key,) = client.keys("*")
            client.delete(key)
            client.rpush(key, "list")
        with pytest.raises(DependencyDown):
            await store.spend([HOUR], ["k"])


async def test_database_of_the_url_is_used(redis_server: RedisServer) -> None:
    store = RedisCounters(redis_server.url + "?db=3", timeout=30)
    try:
        await store.spend([HOUR], ["k"])
    finally:
        await store.close()
    with redis_server.client() as client:
        assert client.dbsize() == 0
        client.select(3)
        assert client.dbsize() == 1


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
def tls_redis(tmp_path: Path, port: int, redis_server: RedisServer) -> tuple[str, Path, Path]:
    """A Redis that speaks TLS and demands a client certificate: its URL, the CA, our certificate with key."""
    authority = trustme.CA()
    server, client, ca = tmp_path / "server.pem", tmp_path / "client.pem", tmp_path / "ca.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(server)
    authority.issue_cert("gateway").private_key_and_cert_chain_pem.write_to_path(client)
    authority.cert_pem.write_to_path(ca)
    with redis_server.client() as admin:
        admin.config_set("tls-cert-file", str(server))
        admin.config_set("tls-key-file", str(server))
        admin.config_set("tls-ca-cert-file", str(ca))
        admin.config_set("bind", "127.0.0.1")
        admin.config_set("tls-port", port)
    return f"rediss://localhost:{port}/0", ca, client


async def test_tls_verifies_the_server_and_shows_our_certificate(tls_redis: tuple[str, Path, Path]) -> None:
    url, ca, certificate = tls_redis
    store = RedisCounters(url, tls=tls_context(ca, certificate, None), timeout=30)
    try:
        assert await store.spend([HOUR], ["k"])
    finally:
        await store.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["name not in the certificate", "unknown authority"])
async def test_tls_refuses_a_server_it_cannot_verify(tls_redis: tuple[str, Path, Path], host: str) -> None:
    url, ca, certificate = tls_redis
    context = tls_context(ca if host == "127.0.0.1" else None, certificate, None)
    store = RedisCounters(url.replace("localhost", host), tls=context, timeout=30)
    try:
        with pytest.raises(DependencyDown, match="SSLCertVerificationError"):
            await store.spend([HOUR], ["k"])
    finally:
        await store.close()


def test_unusable_tls_files_are_refused_at_load(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(ValueError, match="unusable TLS files"):
        tls_context(tmp_path / "absent.pem", None, None)
    with pytest.raises(ValueError, match="unusable TLS files"):
        tls_context(None, tmp_path / "empty.pem", None)


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$-1\r\n" * 3, b"+OK\r\n" * 50, b"*1\r\n:1\r\n" * 9, b""],
    ids=["http", "nil", "too many answers", "half an answer", "closes"],
)
async def test_server_that_is_no_redis_is_a_failure(answer: bytes, tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(answer)
        await writer.drain()
        if answer:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        store = RedisCounters(f"redis://127.0.0.1:{port}", timeout=1)
        try:
            for _ in range(3):
                with pytest.raises(DependencyDown):
                    await store.spend([HOUR], ["k"])
        finally:
            await store.close()


async def test_server_that_accepts_and_stays_silent_is_a_failure_for_all_who_wait() -> None:
    async def stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(stay_silent, "127.0.0.1", 0)
    async with server:
        store = RedisCounters(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout=0.01)
        answers = await asyncio.gather(*[store.spend([HOUR], ["k"]) for _ in range(20)], return_exceptions=True)
        assert {str(answer) for answer in answers} == {"redis: no connection in time"}
        await store.close()


async def test_unanswered_commands_are_bounded(redis_server: RedisServer) -> None:
    async with counters(redis_server) as store:
        await store.spend([HOUR], ["k"])
        redis_server.freeze()
        try:
            spends = [store.spend([HOUR], ["k"]) for _ in range(MAX_PENDING + 1)]
            answers = await asyncio.gather(*spends, return_exceptions=True)
        finally:
            redis_server.thaw()
        assert any("too many unanswered commands" in str(answer) for answer in answers)
        assert all(isinstance(answer, DependencyDown) for answer in answers)


async def test_nobody_listening_is_a_failure(port: int) -> None:
    store = RedisCounters(f"redis://127.0.0.1:{port}", timeout=1)
    try:
        with pytest.raises(DependencyDown, match="cannot connect"):
            await store.spend([HOUR], ["k"])
        with pytest.raises(DependencyDown, match="unavailable"):
            await store.spend([HOUR], ["k"])
    finally:
        await store.close()


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:canary@redis:6379/0",
        "redis://:canary@redis:6379/0",
        "http://redis/canary",
        "redis:///canary",
        "redis://redis/canary",
        "redis://redis/0?password=canary",
        "unix://host/canary.sock",
        "unix:///run/redis.sock?db=canary",
        "redis://redis:99999/canary",
        "",
    ],
)
def test_url_that_is_none_of_ours_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError, match=r"Redis|user or password|Port") as refused:
        parse(url)
    assert "canary" not in str(refused.value)


def test_urls_are_read() -> None:
    assert parse("redis://h").port == 6379
    assert (parse("rediss://h:1/2").tls, parse("rediss://h:1/2").database) == (True, 2)
    assert parse("unix:///run/r.sock?db=4").database == 4


# The script's time is Redis's own; here it is written into the script's text, so that both stores see the same moments.
def answer_at(client: "redis.Redis", quota: Quota, now: int) -> tuple[int, int]:
    clock = f"local time = {{'{now // SECOND}', '{now % SECOND}'}}"
    script = SPEND.replace("local time = redis.call('TIME')", clock)
    assert script != SPEND
    answer: Any = client.eval(script, 1, "k", quota.algorithm, str(quota.count), str(quota.window))
    return int(answer[0]), int(answer[1])


@pytest.fixture(scope="module")
def quiet_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    folder = Path(tempfile.mkdtemp(prefix="redis-"))
    server = RedisServer(folder).start()
    yield server
    server.kill()
    shutil.rmtree(folder)


@pytest.mark.parametrize("algorithm", ["sliding", "fixed", "bucket"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    count=st.integers(1, 50),
    window=st.integers(60 * SECOND, 90 * SECOND),
    steps=st.lists(st.integers(0, 40 * SECOND) | st.just(0), max_size=40),
)
def test_redis_and_memory_give_the_same_answers(
    quiet_redis: RedisServer, algorithm: Algorithm, count: int, window: int, steps: list[int]
) -> None:
    quota = Quota("q", algorithm, count, window)
    local = memory.build(quota)
    now = 1_780_000_000 * SECOND
    with quiet_redis.client() as client:
        client.flushall()
        for step in steps:
            now += step
            assert answer_at(client, quota, now) == local.take("k", now)


@pytest.mark.parametrize("algorithm", ["sliding", "fixed", "bucket"])
def test_clock_that_steps_back_neither_frees_nor_blocks_for_long(quiet_redis: RedisServer, algorithm: Algorithm) -> None:
    quota = Quota("q", algorithm, 3, 60 * SECOND)
    now = 1_780_000_000 * SECOND
    with quiet_redis.client() as client:
        client.flushall()
        for _ in range(3):
            answer_at(client, quota, now)
        remaining, wait = answer_at(client, quota, now - 3600 * SECOND)
        assert remaining == REFUSED
        assert wait <= 3 * 60 * SECOND


@pytest.mark.parametrize("algorithm", ["sliding", "fixed", "bucket"])
def test_time_to_live_is_no_shorter_than_what_is_remembered(quiet_redis: RedisServer, algorithm: Algorithm) -> None:
    quota = Quota("q", algorithm, 3, 600 * SECOND)
    with quiet_redis.client() as client:
        client.flushall()
        now = 1_780_000_000 * SECOND
        answer_at(client, quota, now)
        needed = {"sliding": 1200, "fixed": 600, "bucket": 600}[algorithm]
        assert needed - 5 <= client.ttl("k") <= needed + 1


def test_ssl_context_is_not_weakened() -> None:
    context = tls_context(None, None, None)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
