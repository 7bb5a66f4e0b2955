"""The algorithm against what Amazon published: its test suite (tests/unit/credentials/vectors) and the examples of its manuals."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.message import Field
from gateway.credentials import sigv4
from gateway.credentials.sigv4 import Scope, sent_form
from gateway.credentials.sigv4_chunks import ChunkSigner, framed_length

SUITE = json.loads((Path(__file__).parent / "vectors" / "aws-sig-v4.json").read_text("utf-8"))["cases"]
SUITE_SCOPE = Scope(b"20150830T123600Z", b"us-east-1", b"service")
SUITE_SECRET = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
S3_SCOPE = Scope(b"20130524T000000Z", b"us-east-1", b"s3")
S3_KEY_ID = b"AKIA" + b"IOSFODNN7EXAMPLE"
S3_SECRET = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def parsed(text: str) -> tuple[bytes, bytes, list[Field], bytes]:
    """A request of the suite: method, target, header fields, body."""
    head, _, body = text.partition("\n\n")
    first, *rest = head.rstrip("\n").split("\n")
    method, _, target = first.removesuffix(" HTTP/1.1").partition(" ")
    fields: list[Field] = []
    for line in rest:
        name, _, value = line.encode().partition(b":")
        if line[0].isspace():
            fields[-1] = (fields[-1][0], fields[-1][1] + b" " + line.strip().encode())
        else:
            fields.append((name.lower(), value))
    return method.encode(), target.encode(), fields, body.encode()


@pytest.mark.parametrize("name", SUITE)
def test_a_request_of_the_suite_is_signed_as_amazon_signs_it(name: str) -> None:
    expected = SUITE[name]
    method, target, fields, body = parsed(expected["request"])
    if name == "get-vanilla-with-session-token":  # whose request has none: the signer is to add it
        fields.append((b"x-amz-security-token", b"6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"))
    path, mark, query = target.partition(b"?")
    target = path + mark + sent_form(b"?" + query).removeprefix(b"?")
    request = sigv4.canonical(method, target, fields, sha256(body).hexdigest().encode())
    assert request.text.decode() == expected["canonical"]
    text = sigv4.string_to_sign(SUITE_SCOPE, request.text)
    assert text.decode() == expected["string_to_sign"]
    signed = sigv4.signature(sigv4.signing_key(SUITE_SECRET, SUITE_SCOPE), text)
    assert sigv4.authorization(b"AKIDEXAMPLE", SUITE_SCOPE, request.names, signed).decode() == expected["authorization"]


HOST = (b"host", b"examplebucket.s3.amazonaws.com")
DATE = (b"x-amz-date", S3_SCOPE.date)


@pytest.mark.parametrize(
    ("method", "target", "fields", "body", "expected"),
    [
        ("GET", b"/test.txt", [(b"range", b"bytes=0-9")], b"", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        (
            "PUT",
            b"/test$file.text",
            [(b"date", b"Fri, 24 May 2013 00:00:00 GMT"), (b"x-amz-storage-class", b"REDUCED_REDUNDANCY")],
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        ("GET", b"/?lifecycle", [], b"", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("GET", b"/?max-keys=2&prefix=J", [], b"", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
    ids=["get-object", "put-object", "get-lifecycle", "list-objects"],
)
def test_an_example_of_the_manual_of_s3_is_signed_as_there(
    method: str, target: bytes, fields: list[Field], body: bytes, expected: str
) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html."""
    payload = sha256(body).hexdigest().encode()
    covered = [HOST, DATE, (b"x-amz-content-sha256", payload), *fields]
    request = sigv4.canonical(method.encode(), sent_form(target), covered, payload, once=True)
    signed = sigv4.signature(sigv4.signing_key(S3_SECRET, S3_SCOPE), sigv4.string_to_sign(S3_SCOPE, request.text))
    assert signed.decode() == expected


def seed_of(*fields: Field, payload: bytes) -> tuple[bytes, bytes]:
    covered = [(b"host", b"s3.amazonaws.com"), DATE, (b"x-amz-content-sha256", payload), *fields]
    covered += [(b"x-amz-storage-class", b"REDUCED_REDUNDANCY"), (b"content-encoding", b"aws-chunked")]
    request = sigv4.canonical(b"PUT", b"/examplebucket/chunkObject.txt", covered, payload, once=True)
    key = sigv4.signing_key(S3_SECRET, S3_SCOPE)
    return key, sigv4.signature(key, sigv4.string_to_sign(S3_SCOPE, request.text))


def test_the_chunks_of_the_manual_of_s3_are_signed_as_there() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html."""
    length = (b"content-length", b"66824"), (b"x-amz-decoded-content-length", b"66560")
    key, seed = seed_of(*length, payload=b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    assert seed == b"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    signer = ChunkSigner(key, S3_SCOPE, seed)
    frames = [signer.chunk(b"a" * 65536), signer.chunk(b"a" * 1024), signer.chunk(b"") + b"\r\n"]
    assert [frame.partition(b"=")[2].partition(b"\r\n")[0] for frame in frames] == [
        b"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        b"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        b"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]
    assert len(b"".join(frames)) == framed_length(66560) == 66824


def test_the_trailer_of_the_manual_of_s3_is_signed_as_there() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html."""
    more = (b"x-amz-decoded-content-length", b"66560"), (b"x-amz-trailer", b"x-amz-checksum-crc32c")
    key, seed = seed_of(*more, payload=b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
    assert seed == b"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    signer = ChunkSigner(key, S3_SCOPE, seed)
    for content in (b"a" * 65536, b"a" * 1024, b""):
        signer.chunk(content)
    expected = b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n"
    assert signer.trailers([(b"x-amz-checksum-crc32c", b"sOO8/Q==")]) == b"x-amz-checksum-crc32c:sOO8/Q==\r\n" + expected


@given(st.binary(max_size=60))
def test_the_sent_form_of_a_target_is_its_own_sent_form(rest: bytes) -> None:
    once = sent_form(b"/" + rest)
    assert sent_form(once) == once
    assert all(0x21 <= octet < 0x7F for octet in once)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/a b+c/%41%2f?x=a+b&y=%7E;z&flag", b"/a%20b%2Bc/A%2F?x=a%20b&y=~%3Bz&flag"),
        (b"/?", b"/"),
        (b"/?&&a=1&&", b"/?a=1"),
        (b"/?a=b=c", b"/?a=b%3Dc"),
        (b"/%zz", b"/%25zz"),
    ],
)
def test_a_target_is_sent_in_one_spelling(target: bytes, expected: bytes) -> None:
    assert sent_form(target) == expected
