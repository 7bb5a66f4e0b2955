"""What comes back from an upstream: every framing, every way to break off, every way to lie."""

import asyncio
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.errors import UpstreamTimeout, UpstreamUnreachable
from gateway.core.reason import Reason
from gateway.upstream.model import RouteTimeouts
from tests.scripted import BOUND, CLOSE, OK, READ, RESET, Scripted, Step, body_of, outbound, transport, upstream

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nx-trailer: t\r\n\r\n"


async def test_a_small_answer_comes_whole() -> None:
    async with Scripted([READ, OK]) as server:
        response = await transport(server.port).send(outbound())
        assert (response.status, response.body, response.stream, response.own) == (200, b"ok", None, False)
        assert (response.address, response.retries) == (f"127.0.0.1:{server.port}", 0)


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        pytest.param(OK, b"ok", id="length"),
        pytest.param(CHUNKED, b"abcde", id="chunked"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end", id="close-delimited"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nold", b"old", id="http-1.0"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + OK, b"ok", id="interim-answers"),
        pytest.param(b"HTTP/1.1 204 No\r\n\r\n", b"", id="204"),
        pytest.param(b"HTTP/1.1 304 No\r\ncontent-length: 99\r\n\r\n", b"", id="304"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"", id="empty"),
    ],
)
async def test_every_framing_is_understood_wherever_the_bytes_are_cut(raw: bytes, body: bytes) -> None:
    for cut in range(0, len(raw), max(1, len(raw) // 12)):
        async with Scripted([READ, raw[:cut], raw[cut:], CLOSE]) as server:
            response = await transport(server.port).send(outbound())
            assert await body_of(response) == body
            assert not {b"transfer-encoding", b"x-trailer", b"link"} & {name for name, _ in response.headers}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, len(CHUNKED) - 1), max_size=8), parts=st.just(CHUNKED))
async def test_an_answer_split_anywhere_is_the_same_answer(cuts: list[int], parts: bytes) -> None:
    edges = [0, *sorted(cuts), len(parts)]
    pieces = [parts[start:end] for start, end in itertools.pairwise(edges)]
    async with Scripted([READ, *pieces, READ, OK]) as server:
        way = transport(server.port)
        assert await body_of(await way.send(outbound())) == b"abcde"
        assert await body_of(await way.send(outbound())) == b"ok"
        assert server.opened == 1


async def test_the_answer_to_head_has_no_body_and_the_connection_serves_on() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 4096\r\n\r\n"
    async with Scripted([READ, head, READ, OK]) as server:
        way = transport(server.port)
        response = await way.send(outbound("HEAD"))
        assert (response.status, response.body, response.stream) == (200, b"", None)
        assert (b"content-length", b"4096") in response.headers
        assert await body_of(await way.send(outbound())) == b"ok"
        assert server.opened == 1


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", id="unasked-upgrade"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n", id="length-and-chunked"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n", id="chunked-and-length"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n", id="two-lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok", id="signed-length"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="other-coding"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nx", id="coding-until-close"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n", id="chunked-twice"),
        pytest.param(b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", id="chunked-in-1.0"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\nhello", id="bare-lf-in-chunk-size"),
        pytest.param(
            b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", id="chunked-in-1.0-kept"
        ),
        pytest.param(b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n", id="other-version"),
        pytest.param(b"HTTP/2.0 200 OK\r\nproxy-connection: keep-alive\r\ncontent-length: 0\r\n\r\n", id="other-version-kept"),
        pytest.param(b"HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n", id="status-999"),
        pytest.param(b"HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n", id="status-099"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx : y\r\n\r\n", id="space-before-colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: y\r\n z\r\n\r\n", id="folded-line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n", id="nul"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: a\x7fb\r\n\r\n", id="delete"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n", id="bare-cr"),
        pytest.param(b"HTTP/1.1 200 OK\nx: y\n\n", id="bare-lf"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="not-http"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 201 + b"content-length: 0\r\n\r\n", id="too-many-fields"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\ncontent-length: 0\r\n\r\n", id="head-too-large"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000, id="endless-field"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 4000, id="endless-interim-answers"),
    ],
)
async def test_an_answer_that_is_not_plainly_http_is_refused(raw: bytes) -> None:
    async with Scripted([READ, raw]) as server:
        with pytest.raises(UpstreamUnreachable) as caught:
            await transport(server.port).send(outbound())
        assert (caught.value.status, caught.value.reason) == (502, Reason.UPSTREAM_PROTOCOL)
        await server.until_closed(1)


async def test_endless_trailers_break_the_stream() -> None:
    trailers = b"x-t: y\r\n" * 20_000
    raw = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    async with Scripted([READ, raw, *[trailers] * 8]) as server:
        with pytest.raises(UpstreamUnreachable) as caught:
            await body_of(await transport(server.port).send(outbound()))
        assert caught.value.reason is Reason.UPSTREAM_PROTOCOL


@pytest.mark.parametrize("end", [Step.CLOSE, Step.RESET], ids=["closed", "reset"])
@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", id="length"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", id="chunked"),
    ],
)
async def test_a_body_cut_short_is_an_error_and_not_an_end(raw: bytes, end: Step) -> None:
    gate = asyncio.Event()
    async with Scripted([READ, raw, gate, end]) as server:
        response = await transport(server.port).send(outbound())
        assert response.stream is not None
        assert await anext(response.stream) == b"abc"
        gate.set()
        with pytest.raises(UpstreamUnreachable):
            await anext(response.stream)


async def test_a_close_delimited_body_that_is_reset_is_an_error() -> None:
    gate = asyncio.Event()
    async with Scripted([READ, b"HTTP/1.1 200 OK\r\n\r\nabc", gate, RESET]) as server:
        response = await transport(server.port).send(outbound())
        assert response.stream is not None
        assert await anext(response.stream) == b"abc"
        gate.set()
        with pytest.raises(UpstreamUnreachable):
            await anext(response.stream)


async def test_no_answer_in_time_is_a_timeout() -> None:
    async with Scripted([READ]) as server:
        with pytest.raises(UpstreamTimeout) as caught:
            await transport(server.port, timeouts={"response": "50ms"}).send(outbound())
        assert caught.value.status == 504
        await server.until_closed(1)


async def test_a_head_that_drips_is_a_timeout() -> None:
    never = asyncio.Event()
    async with Scripted([READ, b"HTTP/1.1 200 OK\r\nx: ", never]) as server:
        with pytest.raises(UpstreamTimeout):
            await transport(server.port, timeouts={"response": "50ms"}).send(outbound())


async def test_a_body_that_stalls_is_a_timeout_on_the_stream() -> None:
    never = asyncio.Event()
    async with Scripted([READ, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", never]) as server:
        response = await transport(server.port, timeouts={"idle": "50ms"}).send(outbound())
        assert response.stream is not None
        assert await anext(response.stream) == b"abc"
        with pytest.raises(UpstreamTimeout):
            await anext(response.stream)


async def test_a_route_may_be_more_patient_or_less_than_its_upstream() -> None:
    async with Scripted([READ]) as server:
        service = upstream(server.port, timeouts={"response": "30s"})
        hasty = service.transport(RouteTimeouts.model_validate({"response": "50ms"}), drop_cookies=True)
        with pytest.raises(UpstreamTimeout):
            await asyncio.wait_for(hasty.send(outbound()), BOUND)


async def test_a_slow_reader_makes_the_upstream_wait() -> None:
    size = 32 * 1024 * 1024
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size
    sent = asyncio.Event()

    class Watched(Scripted):
        async def _play(self, step, reader, writer) -> bool:  # type: ignore[no-untyped-def]  # as in the class above it
            played = await super()._play(step, reader, writer)
            if isinstance(step, bytes) and len(step) == size:
                sent.set()
            return played

    async with Watched([READ, head, b"x" * size]) as server:
        response = await transport(server.port, timeouts={"idle": "200ms"}).send(outbound())
        assert response.stream is not None
        first = await anext(response.stream)
        # Longer than `idle`: waiting for the reader is not the upstream's fault.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sent.wait(), 0.5)
        rest = [len(piece) async for piece in response.stream]
        assert len(first) + sum(rest) == size
        assert max(rest) < 2 * 1024 * 1024


async def test_bytes_are_handed_on_as_they_arrive() -> None:
    gate = asyncio.Event()
    async with Scripted(
        [READ, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n", gate, b"1\r\nc\r\n0\r\n\r\n"]
    ) as server:
        response = await transport(server.port).send(outbound())
        assert response.stream is not None
        assert await anext(response.stream) == b"ab"
        gate.set()
        assert [piece async for piece in response.stream] == [b"c"]


async def test_compressed_bodies_and_redirects_pass_as_they_are() -> None:
    raw = b"HTTP/1.1 302 Found\r\nlocation: https://elsewhere.example/\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\n\x1f\x8b\x08"
    async with Scripted([READ, raw]) as server:
        response = await transport(server.port).send(outbound())
        assert (response.status, response.body) == (302, b"\x1f\x8b\x08")
        assert (b"location", b"https://elsewhere.example/") in response.headers
        assert server.opened == 1
