"""Requests as they reach an upstream that checks Amazon's signatures, whatever the client signed itself."""

import zlib
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.aws import KEY_ID, SECRET, Verified, verify
from tests.house import House, Reply, house

SIZE = 64 * 1024
CREDENTIAL = {
    "inject": "sigv4",
    "region": "eu-central-1",
    "service": "s3",
    "access_key_id": KEY_ID,
    "secret_access_key": {"env": "AWS_SECRET"},
}


def signing(folder: Path, **over: Any) -> AbstractAsyncContextManager[House]:
    folder.mkdir(exist_ok=True)
    credentials = {"bot": {**CREDENTIAL, "buffer": "100KiB"} | over}
    return house(folder, credentials=credentials, environ={"AWS_SECRET": SECRET})


@pytest.fixture
async def s3(tmp_path: Path) -> AsyncIterator[House]:
    async with signing(tmp_path / "s3") as gateway:
        yield gateway


def arrived(gateway: House, number: int = -1) -> Verified:
    """The request that reached the upstream, its signature checked."""
    seen = gateway.upstream.seen[number]
    return verify(seen.method, seen.target, seen.headers, seen.body)


async def send(gateway: House, target: str, **more: Any) -> Reply:
    return await gateway.get(target, token=gateway.keys.token(), **more)


async def chunked(gateway: House, target: str, wire: bytes, headers: dict[str, str]) -> Reply:
    """A PUT whose length nobody told."""
    lines = [
        f"PUT {target} HTTP/1.1",
        "Host: gw.test",
        f"Authorization: Bearer {gateway.keys.token()}",
        "Transfer-Encoding: chunked",
    ]
    head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items())]).encode() + b"\r\n\r\n"
    pieces = [wire[start : start + 50_000] for start in range(0, len(wire), 50_000)]
    return await gateway.raw(
        head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n", method="PUT"
    )


async def test_a_request_without_body_is_signed_for_the_upstreams_host(s3: House) -> None:
    assert (await send(s3, "/admin/bucket/a%20b?prefix=x+y&list-type=2&delimiter=%2f&acl")).status == 200
    assert arrived(s3).names == ["host", "x-amz-content-sha256", "x-amz-date"]
    [seen] = s3.upstream.seen
    assert seen.target == "/admin/bucket/a%20b?prefix=x%20y&list-type=2&delimiter=%2F&acl"
    assert seen.all("host") == [f"127.0.0.1:{s3.upstream.port}"]


async def test_all_that_the_client_said_about_a_signature_is_gone(s3: House) -> None:
    said = {
        "X-Amz-Date": "20000101T000000Z",
        "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
        "X-Amz-Security-Token": "of-the-client",
        "X_Amz_Security_Token": "of-the-client",
        "X-Amz-Acl": "private",
        "X-Amz-Meta-A": "  two   blanks ",
        "Content-Type": "text/plain",
    }
    query = "X-Amz-Signature=00&x-amz-credential=mine&X%2dAmz%2dDate=1&keep=1&AWSAccessKeyId=a&Signature=b&Expires=1"
    assert (await send(s3, "/admin/b/k?" + query, method="PUT", body=b"hello", headers=said)).status == 200
    names = arrived(s3).names
    assert names == ["content-type", "host", "x-amz-acl", "x-amz-content-sha256", "x-amz-date", "x-amz-meta-a"]
    [seen] = s3.upstream.seen
    assert seen.target == "/admin/b/k?keep=1"
    assert "of-the-client" not in str(seen.headers)
    assert len(seen.all("authorization")) == 1


async def test_a_parameter_that_only_older_signatures_have_passes_by_itself(s3: House) -> None:
    await send(s3, "/admin/b?Expires=1&Signature=2")
    assert s3.upstream.seen[0].target == "/admin/b?Expires=1&Signature=2"


@pytest.mark.parametrize("size", [1, 70_000, 100 * 1024], ids=["one", "streamed in", "at the bound"])
async def test_a_body_up_to_the_bound_is_signed_by_its_hash(s3: House, size: int) -> None:
    assert (await send(s3, "/admin/b/k", method="PUT", body=b"x" * size)).status == 200
    assert len(arrived(s3).content) == size
    assert s3.upstream.seen[0].all("content-length") == [str(size)]


async def test_a_body_of_unknown_length_is_read_and_signed(s3: House) -> None:
    assert (await chunked(s3, "/admin/b/k", b"y" * 90_000, {})).status == 200
    assert arrived(s3).content == b"y" * 90_000
    assert s3.upstream.seen[0].all("transfer-encoding") == []


async def test_a_longer_body_goes_in_signed_chunks(s3: House) -> None:
    body = bytes(index % 251 for index in range(3 * SIZE + 5))
    assert (await send(s3, "/admin/b/k", method="PUT", body=body, headers={"Content-Encoding": "gzip"})).status == 200
    found = arrived(s3)
    assert (found.payload, found.content == body) == ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", True)
    assert s3.upstream.seen[0].all("content-encoding") == ["gzip,aws-chunked"]


async def test_a_longer_body_of_unknown_length_is_refused_and_the_trail_says_what_to_do(s3: House) -> None:
    assert (await chunked(s3, "/admin/b/k", b"y" * 110_000, {})).status == 413
    assert s3.upstream.seen == []
    event = await s3.only_request()
    assert event["reason"] == "body-too-large"
    assert "raise `buffer`" in event["detail"]


async def test_a_longer_body_to_a_service_without_chunks_is_refused(tmp_path: Path) -> None:
    async with signing(tmp_path, service="dynamodb", buffer="1KiB") as gateway:
        assert (await send(gateway, "/admin/", method="POST", body=b"x" * 1024)).status == 200
        assert (await send(gateway, "/admin/", method="POST", body=b"x" * 1025)).status == 413
        assert len(gateway.upstream.seen) == 1
        assert arrived(gateway).content == b"x" * 1024


async def test_other_services_have_their_path_encoded_twice(tmp_path: Path) -> None:
    async with signing(tmp_path, service="execute-api") as gateway:
        await send(gateway, "/admin/a%20b/c:d/")
        arrived(gateway)
        assert gateway.upstream.seen[0].target == "/admin/a%20b/c%3Ad/"


def crc(content: bytes) -> str:
    return b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


def sdk(content: bytes, *, piece: int = 40_000) -> tuple[bytes, dict[str, str]]:
    """What boto3 sends over TLS since 1.36: unsigned chunks, their checksum behind them."""
    pieces = [content[start : start + piece] for start in range(0, len(content), piece)]
    wire = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces)
    return wire + f"0\r\nx-amz-checksum-crc32:{crc(content)}\r\n\r\n".encode(), {
        "X-Amz-Content-SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "X-Amz-Trailer": "x-amz-checksum-crc32",
        "X-Amz-Decoded-Content-Length": str(len(content)),
        "X-Amz-Sdk-Checksum-Algorithm": "CRC32",
        "Content-Encoding": "aws-chunked",
    }


async def test_a_short_body_in_a_clients_frames_is_sent_without_them_its_checksum_in_a_header(s3: House) -> None:
    wire, headers = sdk(b"hello")
    assert (await chunked(s3, "/admin/b/k", wire, headers)).status == 200
    found, [seen] = arrived(s3), s3.upstream.seen
    assert found.content == b"hello"
    assert seen.all("x-amz-checksum-crc32") == [crc(b"hello")]
    assert {"content-encoding", "x-amz-trailer", "x-amz-decoded-content-length"}.isdisjoint(seen.names)


async def test_a_long_body_in_a_clients_frames_is_framed_anew_and_its_checksum_signed(s3: House) -> None:
    content = b"z" * 150_000
    wire, headers = sdk(content)
    assert (await chunked(s3, "/admin/b/k", wire, headers | {"Content-Encoding": "gzip, aws-chunked"})).status == 200
    found = arrived(s3)
    assert found.payload == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    assert (found.content == content, found.trailers) == (True, {"x-amz-checksum-crc32": crc(content)})


async def test_chunks_that_a_client_signed_itself_are_signed_anew(s3: House) -> None:
    mark = ";chunk-signature=" + "0" * 64
    wire = f"5{mark}\r\nhello\r\n0{mark}\r\n\r\n".encode()
    headers = {"X-Amz-Content-SHA256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "X-Amz-Decoded-Content-Length": "5"}
    assert (await send(s3, "/admin/b/k", method="PUT", body=wire, headers=headers)).status == 200
    assert arrived(s3).content == b"hello"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Encoding": "aws-chunked"},
        {"Content-Encoding": "aws-chunked", "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD", "X-Amz-Decoded-Content-Length": "5"},
        {"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"},
        {"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length": "-5"},
        {"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length": "6"},
        {"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length": "5", "X-Amz-Trailer": "a"},
    ],
)
async def test_frames_that_can_be_read_in_two_ways_are_refused(s3: House, headers: dict[str, str]) -> None:
    reply = await send(s3, "/admin/b/k", method="PUT", body=b"5\r\nhello\r\n0\r\n\r\n", headers=headers)
    assert reply.status == 400
    assert s3.upstream.seen == []


async def test_temporary_keys_come_from_one_file_and_are_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"

    def put(token: str, expires: str) -> None:
        text = f'{{"Version":1,"AccessKeyId":"{KEY_ID}","SecretAccessKey":"{SECRET}","SessionToken":"{token}","Expiration":"{expires}"}}'
        file.with_suffix(".new").write_text(text)
        file.with_suffix(".new").rename(file)

    put("token-one", "2999-01-01T00:00:00Z")
    over = {"access_key_id": None, "secret_access_key": None, "keys": {"file": str(file)}}
    async with signing(tmp_path / "house", **over) as gateway:
        await send(gateway, "/admin/b")
        assert gateway.upstream.seen[0].all("x-amz-security-token") == ["token-one"]
        assert "x-amz-security-token" in arrived(gateway).names
        put("token-two", "2999-01-01T00:00:00Z")
        gateway.process.loaded.secrets.refresh()
        await send(gateway, "/admin/b")
        assert gateway.upstream.seen[1].all("x-amz-security-token") == ["token-two"]


async def test_what_an_upstream_echoes_of_a_signature_does_not_come_back(tmp_path: Path) -> None:
    token = "FwoGZXIvYXdzEXAMPLEsessiontoken"
    credentials = {"bot": {**CREDENTIAL, "session_token": {"env": "TOKEN"}}}
    async with house(tmp_path, credentials=credentials, environ={"AWS_SECRET": SECRET, "TOKEN": token}) as gateway:
        gateway.upstream.answer = lambda seen: (
            f"HTTP/1.1 403 Forbidden\r\nX-Echo: {seen.all('authorization')[0]}\r\nX-Token: {token}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        reply = await send(gateway, "/admin/b")
    [seen] = gateway.upstream.seen
    assert reply.status == 403
    assert seen.all("authorization")[0].rpartition("=")[2] not in str(reply.headers)
    assert token not in str(reply.headers)
    assert SECRET not in str(await gateway.events())
    assert token not in str(await gateway.events())
