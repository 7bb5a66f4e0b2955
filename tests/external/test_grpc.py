"""gRPC through the gateway, with gRPC's own client and server: the four kinds of call, and how they end before their time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.house import UPSTREAM_TOKEN, House, house

LISTEN = {"address": "127.0.0.1:0", "http2": True}
SERVICE = "test.Things"
LARGE = 300_000


@dataclass
class Things:
    """A service that remembers what reached it. Messages are bytes."""

    metadata: list[dict[str, Any]] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    def note(self, context: Any) -> None:
        self.metadata.append({**dict(context.invocation_metadata()), "time_remaining": context.time_remaining()})

    async def unary(self, request: bytes, context: Any) -> bytes:
        self.note(context)
        await context.send_initial_metadata((("x-initial", "1"),))
        context.set_trailing_metadata((("x-trailing", "2"), ("x-secret-bin", b"\0\1"), ("x-echo", UPSTREAM_TOKEN)))
        return b"unary " + request

    async def failing(self, request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no such luck: 100% ü", (("x-trailing", "3"),))
        return b""

    async def server(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        self.note(context)
        for number in range(int(request)):
            yield b"%d" % number

    async def client(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        return b",".join([request async for request in requests])

    async def both(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield b"echo " + request

    async def forever(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        try:
            self.begun.set()
            yield b"first"
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def slow(self, request: bytes, context: Any) -> bytes:
        self.note(context)
        try:
            self.begun.set()
            await asyncio.sleep(3600)
        finally:
            self.cancelled.set()
        return b""


@asynccontextmanager
async def serving(things: Things) -> AsyncIterator[Things]:
    server = grpc.aio.server()
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(things.unary),
        "Failing": grpc.unary_unary_rpc_method_handler(things.failing),
        "Server": grpc.unary_stream_rpc_method_handler(things.server),
        "Client": grpc.stream_unary_rpc_method_handler(things.client),
        "Both": grpc.stream_stream_rpc_method_handler(things.both),
        "Forever": grpc.unary_stream_rpc_method_handler(things.forever),
        "Slow": grpc.unary_unary_rpc_method_handler(things.slow),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    things.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield things
    finally:
        await server.stop(None)


ROUTES = [
    {
        "name": "things",
        "match": {"path": f"/{SERVICE}/{{method}}", "methods": ["POST"]},
        "upstream": "grpc",
        "authenticate": ["jwt.corp"],
    },
    {
        "name": "open.limited",
        "match": {"path": f"/{SERVICE}/Server"},
        "upstream": "grpc",
        "anonymous": True,
        "rate_limits": ["few"],
    },
]


@dataclass
class Setting:
    home: House
    things: Things
    channel: Any

    @property
    def token(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.home.keys.token()}"),)

    def call(self, kind: str, name: str) -> Callable[..., Any]:
        made: Callable[..., Any] = getattr(self.channel, kind)(f"/{SERVICE}/{name}")
        return made


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    async with serving(Things()) as things:
        target = {
            "url": f"http://127.0.0.1:{things.port}",
            "http2": True,
            "allow_plaintext": True,
            "allow_private": True,
            "credential": "bot",
        }
        over: dict[str, Any] = {
            "upstreams": {"grpc": target},
            "routes": ROUTES,
            "rate_limits": {"rules": {"few": {"key": "client.address", "limit": "2/hour"}}},
        }
        async with house(tmp_path, listen=LISTEN, **over) as home:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{home.address()[1]}") as channel:
                yield Setting(home, things, channel)


async def status_of(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


async def test_a_unary_call_brings_metadata_both_ways_and_the_credential_upstream(setting: Setting) -> None:
    call = setting.call("unary_unary", "Unary")(
        b"hello", metadata=(*setting.token, ("x-asked", "1"), ("x-raw-bin", b"\0\xff")), timeout=20
    )
    assert await call == b"unary hello"
    assert dict(await call.initial_metadata())["x-initial"] == "1"
    trailing = dict(await call.trailing_metadata())
    assert (trailing["x-trailing"], trailing["x-secret-bin"]) == ("2", b"\0\1")
    assert UPSTREAM_TOKEN not in trailing["x-echo"], "an injected secret never comes back, not even behind the answer"
    (seen,) = setting.things.metadata
    assert (seen["x-asked"], seen["x-raw-bin"]) == ("1", b"\0\xff")
    assert seen["authorization"] == f"Bearer {UPSTREAM_TOKEN}"
    assert 0 < seen["time_remaining"] <= 20


async def test_a_large_message_passes_both_ways(setting: Setting) -> None:
    assert await setting.call("unary_unary", "Unary")(b"x" * LARGE, metadata=setting.token) == b"unary " + b"x" * LARGE


async def test_a_server_streams(setting: Setting) -> None:
    call = setting.call("unary_stream", "Server")(b"100")
    assert [message async for message in call] == [b"%d" % number for number in range(100)]


async def test_a_client_streams(setting: Setting) -> None:
    async def messages() -> AsyncIterator[bytes]:
        for number in range(100):
            yield b"%d" % number

    answer = await setting.call("stream_unary", "Client")(messages(), metadata=setting.token)
    assert answer == b",".join(b"%d" % number for number in range(100))


async def test_both_stream_at_the_same_time(setting: Setting) -> None:
    """Each answer is awaited before the next message is sent: nothing is held back, either way."""
    call = setting.call("stream_stream", "Both")(metadata=setting.token)
    for number in range(20):
        await call.write(b"%d" % number)
        async with asyncio.timeout(60):
            assert await call.read() == b"echo %d" % number
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_many_calls_share_a_connection(setting: Setting) -> None:
    calls = [setting.call("unary_unary", "Unary")(b"%d" % number, metadata=setting.token) for number in range(150)]
    assert await asyncio.gather(*calls) == [b"unary %d" % number for number in range(150)]


async def test_an_error_of_the_service_arrives_as_it_is(setting: Setting) -> None:
    call = setting.call("unary_unary", "Failing")(b"", metadata=setting.token)
    assert await status_of(call) == (grpc.StatusCode.FAILED_PRECONDITION, "no such luck: 100% ü")
    assert dict(await call.trailing_metadata())["x-trailing"] == "3"


async def test_a_deadline_that_passes_ends_the_call_upstream_too(setting: Setting) -> None:
    code, _ = await status_of(setting.call("unary_unary", "Slow")(b"", metadata=setting.token, timeout=0.5))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(60):
        await setting.things.cancelled.wait()
    assert setting.things.metadata[0]["time_remaining"] <= 0.5


async def test_a_call_that_is_cancelled_is_cancelled_upstream_too(setting: Setting) -> None:
    call = setting.call("unary_stream", "Forever")(b"", metadata=setting.token)
    assert await call.read() == b"first"
    call.cancel()
    async with asyncio.timeout(60):
        await setting.things.cancelled.wait()


async def test_no_credential_is_unauthenticated_and_reaches_no_service(setting: Setting) -> None:
    code, _ = await status_of(setting.call("unary_unary", "Unary")(b""))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert setting.things.metadata == []


async def test_what_the_policy_denies_is_permission_denied(setting: Setting) -> None:
    token = (("authorization", f"Bearer {setting.home.keys.token(roles=[])}"),)
    code, _ = await status_of(setting.call("unary_unary", "Unary")(b"", metadata=token))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert setting.things.metadata == []


async def test_a_limit_that_is_used_up_is_an_error(setting: Setting) -> None:
    """How gRPC's clients name a 429 differs between them."""
    for _ in range(2):
        assert [message async for message in setting.call("unary_stream", "Server")(b"1")] == [b"0"]
    call = setting.call("unary_stream", "Server")(b"1")
    assert await call.code() in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert [event["status"] for event in await setting.home.requests()] == [200, 200, 429]


async def test_an_unknown_route_is_unimplemented(setting: Setting) -> None:
    code, _ = await status_of(setting.channel.unary_unary("/other.Service/Method")(b""))
    assert code is grpc.StatusCode.UNIMPLEMENTED


async def test_calls_are_in_the_audit_trail(setting: Setting) -> None:
    await setting.call("unary_unary", "Unary")(b"hello", metadata=setting.token)
    (event,) = await setting.home.requests()
    assert (event["route"], event["status"], event["upstream"], event["credential"]) == ("things", 200, "grpc", "bot")
    assert (event["bytes_in"], event["bytes_out"]) == (10, 16)
