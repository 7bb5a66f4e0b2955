"""Ways around what a rule says may be seen of answers: none leads to a value that it takes away."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from tests.house import House, config, house, request_bytes
from tests.shaped import MAIL, answer, asked, chunked, demanding, redacting, told

SECRET = b"alice@example.com"
WITHHELD = "urn:latchgate:problem:response-withheld"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def redacted(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("redacting"), policy=redacting("$..email")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def gateway(redacted: House) -> House:
    """One that takes `email` out of answers, however deep it lies, with nothing told or seen yet."""
    await redacted.process.flush()
    (redacted.folder / "audit.jsonl").write_bytes(b"")
    redacted.upstream.seen.clear()
    return redacted


@pytest.mark.parametrize(
    "body",
    [
        MAIL,
        b'{"\\u0065mail": "alice@example.com"}',
        b'{"\\u0065\\u006D\\u0061\\u0069\\u006c": "alice@example.com"}',
        b'{"email": "x", "email": "alice@example.com"}',
        b'{"email": "alice@example.com", "\\u0065mail": "alice@example.com"}',
        b'{"email": {"work": ["alice@example.com"]}}',
        b'{"email" : \n"alice@example.com"  ,"a":{"email":["}",{"email":"alice@example.com"}]}}',
        b'[[[{"email": "alice@example.com"}]]]',
        b'{"a": "\\\\", "email": "alice@example.com"}',
        b'{"a": "\\"", "email": "alice@example.com", "b": "\\""}',
        b'{"' + b"x" * 20000 + b'": {"email": "alice@example.com"}}',
    ],
    ids=[
        "plain",
        "escaped",
        "all escaped",
        "twice",
        "twice, escaped",
        "below",
        "spaces",
        "deep",
        "backslash",
        "quote",
        "long name",
    ],
)
async def test_a_value_is_found_however_its_name_is_written(gateway: House, body: bytes) -> None:
    for raw in (
        answer(body),
        chunked(body),
        chunked(*(body[at : at + 1] for at in range(min(len(body), 3000))), body[3000:] or b" "),
    ):
        gateway.upstream.answer = raw
        reply = await asked(gateway)
        assert SECRET not in reply.body
        assert reply.status == (403 if len(body) > 20000 else 200)


async def test_names_in_another_case_are_other_names(tmp_path: Path) -> None:
    """As JSON has it. Whose clients read names without case lists both; docs/how-to/redaction.md says so."""
    async with house(tmp_path, policy=redacting("$.email", "$.Email")) as gateway:
        gateway.upstream.answer = answer(b'{"Email": "alice@example.com", "EMAIL": 1}')
        assert (await asked(gateway)).body == b'{ "EMAIL": 1}'


@pytest.mark.parametrize(
    "raw",
    [
        answer(MAIL, kind="text/html"),
        answer(MAIL, kind="text/plain"),
        answer(MAIL, kind=None),
        answer(MAIL, "Content-Type: text/html"),
        answer(MAIL, kind="application/json, text/html"),
        answer(MAIL, kind="application/json; charset=utf-7"),
        answer(MAIL.decode().encode("utf-16"), kind="application/json; charset=utf-16"),
        answer(MAIL.decode().encode("utf-16-le")),
        answer(b"\xef\xbb\xbf" + MAIL),
        answer(gzip.compress(MAIL), "Content-Encoding: gzip"),
        answer(gzip.compress(MAIL), "Content-Encoding: identity", "Content-Encoding: gzip"),
        answer(gzip.compress(MAIL)),
        answer(MAIL[5:], "Content-Range: bytes 5-38/39", status="206 Partial Content"),
        answer(b"--b\r\nContent-Type: application/json\r\n\r\n" + MAIL + b"\r\n--b--", kind="multipart/mixed; boundary=b"),
        answer(MAIL + MAIL),
        answer(MAIL + b"\n\n" + MAIL),
        answer(MAIL[:-1]),
        answer(b")]}',\n" + MAIL),
        answer(b"callback(" + MAIL + b")", kind="application/json"),
        answer(b"{'email': 'alice@example.com'}"),
        answer(b'{email: "alice@example.com"}'),
        answer(b'{"a": 1,, "email": "alice@example.com"}'),
        answer(b'{"a": 1 /* */, "email": "alice@example.com"}'),
        answer(b'{"a": NaN, "email": "alice@example.com"}'),
        answer(b'{"a": 01, "email": "alice@example.com"}'),
        answer(b'{"a": "\x01", "email": "alice@example.com"}'),
        answer(b'{"a": "\xff", "email": "alice@example.com"}'),
        answer(b'{"a": "\xed\xa0\x80", "email": "alice@example.com"}'),
        answer(b'{"email\\u0000": "alice@example.com"}'),
        answer(b'{"em\\ud800ail": "alice@example.com"}'),
        answer(b"[" * 65 + MAIL + b"]" * 65),
        answer(b'{"a": ' + b"1" * 2000 + b', "email": "alice@example.com"}'),
        answer(b'{"a": 1' + b" " * 20000 + b', "email": "alice@example.com"}'),
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 17\r\n\r\n" + MAIL[:17],
    ],
)
async def test_what_cannot_be_inspected_is_withheld(gateway: House, raw: bytes) -> None:
    gateway.upstream.answer = raw
    reply = await asked(gateway)
    assert (reply.status, reply.json()["type"]) == (403, WITHHELD)
    assert SECRET not in reply.body
    assert (await told(gateway))["outcome"] == "withheld"
    event = (await gateway.requests())[-1]
    assert (event["status"], event["reason"]) == (403, "response-withheld")
    assert SECRET.decode() not in json.dumps(event)


async def test_an_answer_that_turns_out_unreadable_is_seen_to_be_cut(tmp_path: Path) -> None:
    """Where its beginning has left already: the last chunk never comes."""
    opened, last = asyncio.Event(), b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(chunked(b'{"id": 1, "email": "alice@example.com"', last=b""))
                await opened.wait()
                writer.write((b"%x\r\n%b\r\n" % (len(last), last) if last else b"") + b"0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    upstreams = config(server.sockets[0].getsockname()[1])["upstreams"]
    async with server, house(tmp_path, policy=redacting("$..email"), upstreams=upstreams) as gateway:
        for number, last in enumerate([b'} {"email": "alice@example.com"}', b"", b"]", b'} "', b"}\x00"]):
            opened.clear()
            reader, writer = await asyncio.open_connection(*gateway.address())
            writer.write(request_bytes("/public/x"))
            begun = await reader.readuntil(b'"id": 1')
            opened.set()
            rest = await reader.read()
            writer.close()
            assert begun.startswith(b"HTTP/1.1 200")
            assert not rest.endswith(b"0\r\n\r\n"), last
            assert SECRET not in begun + rest
            events = await gateway.requests()
            assert [(each["error"], each["answer"]["outcome"]) for each in events[number:]] == [("response-withheld", "cut")]


async def test_length_and_digests_of_what_was_left_out_are_not_told(tmp_path: Path) -> None:
    fields = (
        'ETag: "abc"',
        "Content-MD5: x",
        "Digest: x",
        "Content-Digest: x",
        "Repr-Digest: x",
        "Accept-Ranges: bytes",
        "X-Amz-Checksum-Sha256: x",
    )
    async with house(tmp_path, policy=redacting("$.email")) as gateway:
        gateway.upstream.answer = answer(MAIL, *fields, "Cache-Control: public, max-age=60", "Expires: 0", "X-Kept: yes")
        for method in ("GET", "HEAD"):
            reply = await asked(gateway, method=method)
            assert reply.status == 200
            names = {name.lower() for name, _ in reply.headers}
            assert not names & {field.partition(":")[0].lower() for field in (*fields, "Expires")}
            assert reply["x-kept"] == "yes"
            assert reply["cache-control"] == "private, no-store"
            assert reply.get("content-length") == (str(len(b'{"id": 1}')) if method == "GET" else None)


async def test_what_is_asked_of_the_upstream_can_be_inspected_and_tells_no_version(tmp_path: Path) -> None:
    asks = {
        "Accept-Encoding": "gzip, br",
        "Range": "bytes=0-1",
        "If-Range": '"a"',
        "If-None-Match": '"a"',
        "If-Modified-Since": "x",
        "A-IM": "diff",
        "X-Kept": "yes",
    }
    async with house(tmp_path, policy=redacting("$.email")) as gateway:
        gateway.upstream.answer = answer(MAIL)
        assert (await asked(gateway, headers=asks)).body == b'{"id": 1}'
        assert (await asked(gateway, headers=asks | {"If-Match": '"b"'}, method="PUT")).status == 200
        read, written = gateway.upstream.seen
        assert read.all("accept-encoding") == written.all("accept-encoding") == ["identity"]
        assert not read.names & {"range", "if-range", "if-none-match", "if-modified-since", "a-im"}
        assert read.all("x-kept") == ["yes"]
        assert written.all("if-match") == ['"b"'], "a write keeps what guards it"
        assert written.all("if-none-match") == ['"a"']


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("step", [1, 7, 1000])
async def test_events_are_read_as_their_clients_read_them(gateway: House, ending: str, step: int) -> None:
    lines = [
        ": ping", "event: message", 'data: {"email": "alice@example.com", "a": 1}', "id: 7", "",
        'data:{"b":', 'data: 2, "email":', 'data: "alice@example.com"', "data:}", "",
        "data: [DONE]", "", "data:", "", "retry: 10", "",
    ]  # fmt: skip
    stream = ending.join(lines).encode() + ending.encode()
    gateway.upstream.answer = chunked(
        *(stream[at : at + step] for at in range(0, len(stream), step)), kind="text/event-stream; charset=utf-8"
    )
    reply = await asked(gateway)
    assert reply.status == 200
    assert SECRET not in reply.body
    found = reply.body.decode().split(ending)
    others = [line for line in lines if not line.startswith("data")]
    assert [line for line in found if not line.startswith("data")] == [*others, ""]
    assert data_of(found) == ['{"a":1}', '{"b":2}', "[DONE]", ""]
    assert await told(gateway) == {"outcome": "shaped", "redacted": 2}


def data_of(lines: list[str]) -> list[str]:
    """The data of each event, without white space: on which line of it a name stands is for the gateway to choose."""
    events, data = [], list[str]()
    for line in lines:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            events.append("".join("".join(data).split()))
            data = []
    return events


@pytest.mark.parametrize(
    "stream",
    [
        b"data: alice@example.com\n\n",
        b'data: {"email": "a"\ndata: } x alice@example.com\n\n',
        b'data: {"a": 1}\n\nalice@example.com\n\n',
        b'data: {"a": "x\ndata: alice@example.com"}\n\n',
        b"data: [DONE]\ndata: alice@example.com\n\n",
        b"\xef\xbb\xbfdata: alice@example.com\n\n",
        b"DATA: alice@example.com\n\n",
        b"data : alice@example.com\n\n",
    ],
)
async def test_an_event_that_is_not_json_ends_the_stream(gateway: House, stream: bytes) -> None:
    gateway.upstream.answer = chunked(stream, kind="text/event-stream")
    data = await raw(gateway.address())
    assert SECRET not in data
    assert b"403" in data.partition(b"\r\n")[0] or not data.endswith(b"0\r\n\r\n")
    assert (await told(gateway))["outcome"] in ("withheld", "cut")


async def raw(address: tuple[str, int]) -> bytes:
    """All that comes, until the gateway ends the connection or has nothing more."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request_bytes("/public/x", headers={"Connection": "close"}))
    data = await reader.read()
    writer.close()
    return data


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/jsonl"])
async def test_every_line_is_a_document_of_its_own(tmp_path: Path, kind: str) -> None:
    async with house(tmp_path, policy=redacting("$.email")) as gateway:
        gateway.upstream.answer = chunked(MAIL + b"\n\n", b'{"email":1}\r\n[{"em', b'ail":2}]\n', b'7\n{"email":3}', kind=kind)
        assert (await asked(gateway)).body == b'{"id": 1}\n\n{}\r\n[{"email":2}]\n7\n{}'
        gateway.upstream.answer = answer(b'{"a":\n1}', kind=kind)
        assert (await asked(gateway)).status == 403


async def test_trailers_of_a_shaped_answer_stay_behind(tmp_path: Path) -> None:
    async with house(tmp_path, policy=redacting("$.email")) as gateway:
        gateway.upstream.answer = chunked(MAIL, last=b"0\r\nX-Copy: alice@example.com\r\n\r\n")
        assert SECRET not in await raw(gateway.address())


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error", "302 Found"])
async def test_a_failure_that_cannot_be_inspected_keeps_its_status_alone(gateway: House, status: str) -> None:
    gateway.upstream.answer = answer(b"<p>alice@example.com", "Location: /public/y", status=status, kind="text/html")
    reply = await asked(gateway)
    assert (reply.status, reply.body, reply.get("content-type")) == (int(status[:3]), b"", None)
    assert await told(gateway) == {"outcome": "emptied", "redacted": 0}
    gateway.upstream.answer = answer(MAIL, status=status, kind="application/problem+json")
    assert (await asked(gateway)).body == b'{"id": 1}'


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_an_answer_without_a_body_passes(gateway: House, status: str) -> None:
    gateway.upstream.answer = f'HTTP/1.1 {status}\r\nETag: "a"\r\n\r\n'.encode()
    reply = await asked(gateway)
    assert (reply.status, reply.get("etag")) == (int(status[:3]), None)
    gateway.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert (await asked(gateway)).status == 200


async def test_an_allow_list_keeps_what_every_rule_names(tmp_path: Path) -> None:
    policy = demanding(response={"fields": ["$.id", "$.user.name", "$.items[*].id"]})
    async with house(tmp_path, policy=policy) as gateway:
        gateway.upstream.answer = answer(
            b'{"x": 1, "id": 5, "user": {"name": "a", "email": "b"}, "items": [{"id": 1, "k": 2}, 3], "y": [1]}'
        )
        assert (await asked(gateway)).json() == {"id": 5, "user": {"name": "a"}, "items": [{"id": 1}]}
        gateway.upstream.answer = answer(b'"alice@example.com"')
        assert (await asked(gateway)).status == 403


async def test_another_protocol_is_refused_before_it_is_spoken(gateway: House) -> None:
    reply = await asked(gateway, method="POST", headers={"Content-Type": "application/grpc+proto"})
    assert (reply.status, reply.json()["type"]) == (403, WITHHELD)
    assert gateway.upstream.seen == []


@pytest.mark.parametrize(
    "policy",
    [redacting("$..email"), demanding(require_response={"when": "response.body.id == 2", "hidden": True})],
    ids=["redact", "hidden"],
)
async def test_no_early_hint_tells_of_an_answer_that_is_yet_to_be_judged(tmp_path: Path, policy: str) -> None:
    """It would be at the client before the refusal is: that there is something, and what belongs to it."""
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </alice@example.com.png>; rel=preload\r\n\r\n"
    if "require_response" in policy:
        policy = policy.replace("allow: any", "allow: [GET]")
    async with house(tmp_path, policy=policy) as gateway:
        gateway.upstream.answer = hint + answer(MAIL)
        assert SECRET not in await raw(gateway.address())
