"""HTTP message signatures: every example of a request in RFC 9421, from appendix B and the sections on components."""

import base64
from typing import Any, NamedTuple

import pytest

from gateway.authn.signatures.base import base
from gateway.authn.signatures.keys import JWS, ListedSigners
from gateway.authn.signatures.model import SignatureKey
from gateway.core import structured
from gateway.core.message import Field
from tests.issuer import FixedSecret
from tests.signatures import Door, asked

CREATED = 1618884473
RSA_PSS = """-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----
"""
P256 = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----
"""
ED25519 = {"kty": "OKP", "crv": "Ed25519", "kid": "test-key-ed25519", "x": "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}
SHARED = b"uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
KEYS: dict[str, dict[str, Any]] = {
    "test-key-rsa-pss": {"algorithm": "rsa-pss-sha512", "pem": RSA_PSS, "subject": "rsa"},
    "test-key-ecc-p256": {"algorithm": "ecdsa-p256-sha256", "pem": P256, "subject": "ecc"},
    "test-key-ed25519": {"algorithm": "ed25519", "jwk": ED25519, "subject": "ed"},
    "test-shared-secret": {"algorithm": "hmac-sha256", "secret": {"env": "SHARED"}, "encoding": "base64", "subject": "shared"},
}
DIGEST = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
BODY = b'{"hello": "world"}'
CERTIFICATE = (
    ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0y"
    "MDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vd"
    "gJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8E"
    "BAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6"
    "bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:"
)
HEADERS: list[Field] = [
    (b"host", b"example.com"),
    (b"date", b"Tue, 20 Apr 2021 02:07:55 GMT"),
    (b"content-type", b"application/json"),
    (b"content-digest", DIGEST.encode()),
    (b"content-length", b"18"),
]


class Example(NamedTuple):
    """An example: what is covered, the signature, the lines of the base before the last."""

    covered: str
    signature: str
    lines: tuple[str, ...]
    keyid: str


EXAMPLES = {
    "B.2.1": Example(
        '();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd"',
        "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqs"
        "rWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuV"
        "G5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==",
        (),
        "test-key-rsa-pss",
    ),
    "B.2.2": Example(
        '("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example"',
        "LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0"
        "A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lank"
        "enQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==",
        ('"@authority": example.com', f'"content-digest": {DIGEST}', '"@query-param";name="Pet": dog'),
        "test-key-rsa-pss",
    ),
    "B.2.3": Example(
        '("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length")'
        ';created=1618884473;keyid="test-key-rsa-pss"',
        "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8"
        "DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9Bmzh"
        "uzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==",
        (
            '"date": Tue, 20 Apr 2021 02:07:55 GMT',
            '"@method": POST',
            '"@path": /foo',
            '"@query": ?param=Value&Pet=dog',
            '"@authority": example.com',
            '"content-type": application/json',
            f'"content-digest": {DIGEST}',
            '"content-length": 18',
        ),
        "test-key-rsa-pss",
    ),
    "B.2.5": Example(
        '("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
        "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=",
        ('"date": Tue, 20 Apr 2021 02:07:55 GMT', '"@authority": example.com', '"content-type": application/json'),
        "test-shared-secret",
    ),
    "B.2.6": Example(
        '("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"',
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
        (
            '"date": Tue, 20 Apr 2021 02:07:55 GMT',
            '"@method": POST',
            '"@path": /foo',
            '"@authority": example.com',
            '"content-type": application/json',
            '"content-length": 18',
        ),
        "test-key-ed25519",
    ),
    "B.3": Example(
        '("@path" "@query" "@method" "@authority" "client-cert");created=1618884473;keyid="test-key-ecc-p256"',
        "xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw==",
        (
            '"@path": /foo',
            '"@query": ?param=Value&Pet=dog',
            '"@method": POST',
            '"@authority": service.internal.example',
            f'"client-cert": {CERTIFICATE}',
        ),
        "test-key-ecc-p256",
    ),
}


def request_of(section: str, *more: Field) -> Any:
    host = "service.internal.example" if section == "B.3" else "example.com"
    extra = [(b"client-cert", CERTIFICATE.encode())] if section == "B.3" else []
    return asked(*HEADERS, *extra, *more, target="/foo?param=Value&Pet=dog", body=BODY, host=host)


def inner(text: str) -> structured.InnerList:
    items, stated = structured.dictionary(f"sig={text}")["sig"]
    assert isinstance(items, list)
    return items, stated


async def verified(keyid: str, message: bytes, signature: str) -> bool:
    models = {each: SignatureKey.model_validate(entry) for each, entry in KEYS.items()}
    signer = await ListedSigners("place", models, lambda reference: FixedSecret(SHARED)).find(keyid)
    assert signer is not None
    return signer.signed(message, base64.b64decode(signature))


@pytest.mark.parametrize("section", EXAMPLES)
async def test_the_example_has_the_published_base_and_verifies(section: str) -> None:
    example = EXAMPLES[section]
    made = base(request_of(section), inner(example.covered))
    assert made.decode() == "\n".join([*example.lines, f'"@signature-params": {example.covered}'])
    assert await verified(example.keyid, made, example.signature)
    assert not await verified(example.keyid, made + b" ", example.signature)


async def test_of_the_examples_the_one_that_covers_all_that_counts_is_let_in() -> None:
    """B.2.3; the others leave out the method, the query or the body, and each is told so."""
    told = {}
    for section, example in EXAMPLES.items():
        door = Door({"rfc": {"keys": KEYS}}, now=CREATED + 5, secrets=lambda reference: FixedSecret(SHARED))
        fields = (b"signature-input", f"sig={example.covered}".encode()), (b"signature", f"sig=:{example.signature}:".encode())
        if section == "B.2.3":
            principal = await door.ask(request_of(section, *fields))
            assert (principal.issuer, principal.id, principal.scheme, principal.credential_id) == (
                "rfc",
                "rsa",
                "signature",
                example.keyid,
            )
        else:
            told[section] = (await door.refused(request_of(section, *fields))).detail.partition("does not cover ")[2]
    assert told == {
        "B.2.1": "@method, @target-uri, content-digest",
        "B.2.2": "@method, @target-uri",
        "B.2.5": "@method, @target-uri, content-digest",
        "B.2.6": "@target-uri, content-digest",
        "B.3": "content-digest",
    }


TRANSFORM = '("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519"'
TRANSFORM_SIGNATURE = "ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA=="
JSON: Field = (b"accept", b"application/json")
ANY: Field = (b"accept", b"*/*")
DATE: Field = (b"date", b"Fri, 15 Jul 2022 14:24:55 GMT")
QUERY = "/demo?name1=Value1&Name2=value2"


@pytest.mark.parametrize(
    ("fields", "request_line", "same"),
    [
        ([DATE, JSON, ANY], {"target": QUERY}, True),
        ([DATE, JSON, ANY, (b"accept-language", b"en-US,en;q=0.5")], {"target": QUERY + "&param=added"}, True),
        ([(b"referer", b"https://developer.example.org/demo"), (b"accept", b"application/json, */*")], {"target": QUERY}, True),
        ([JSON, ANY, DATE], {"target": QUERY}, True),
        ([DATE, JSON, ANY], {"target": QUERY, "method": "POST", "host": "example.com"}, False),
        ([DATE, ANY, JSON], {"target": QUERY}, False),
    ],
    ids=["as signed", "more added", "one line", "another order", "another method", "values in another order"],
)
async def test_what_intermediaries_may_do_keeps_the_signature_and_nothing_else(
    fields: list[Field], request_line: dict[str, Any], same: bool
) -> None:
    """B.4."""
    request = asked(*fields, **{"method": "GET", "host": "example.org", "body": None} | request_line)
    assert await verified("test-key-ed25519", base(request, inner(TRANSFORM)), TRANSFORM_SIGNATURE) is same


def value(request: Any, identifier: str) -> str:
    """What one component of a request is."""
    first = base(request, inner(f"({identifier})")).decode().splitlines()[0]
    assert first.startswith(f"{identifier}: ")
    return first.removeprefix(f"{identifier}: ")


FIELDS: list[Field] = [
    (b"host", b"www.example.com"),
    (b"date", b"Tue, 20 Apr 2021 02:07:56 GMT"),
    (b"x-ows-header", b"Leading and trailing whitespace."),
    (b"cache-control", b"max-age=60"),
    (b"cache-control", b"must-revalidate"),
    (b"example-dict", b"a=1,    b=2;x=1;y=2,   c=(a   b    c), d"),
    (b"example-header", b"value, with, lots"),
    (b"example-header", b"of, commas"),
    (b"example-single", b"value, with, lots, of, commas"),
    (b"priority", b"u=3,   i"),
    (b"empty", b""),
]


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ('"cache-control"', "max-age=60, must-revalidate"),
        ('"x-ows-header"', "Leading and trailing whitespace."),
        ('"empty"', ""),
        ('"example-dict"', "a=1,    b=2;x=1;y=2,   c=(a   b    c), d"),
        ('"example-dict";key="a"', "1"),
        ('"example-dict";key="b"', "2;x=1;y=2"),
        ('"example-dict";key="c"', "(a b c)"),
        ('"example-dict";key="d"', "?1"),
        ('"priority";sf', "u=3, i"),
        ('"example-header"', "value, with, lots, of, commas"),
        ('"example-header";bs', ":dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:"),
        ('"example-single";bs', ":dmFsdWUsIHdpdGgsIGxvdHMsIG9mLCBjb21tYXM=:"),
        ('"@method"', "POST"),
        ('"@scheme"', "https"),
        ('"@authority"', "www.example.com"),
        ('"@target-uri"', "https://www.example.com/path?param=value"),
        ('"@request-target"', "/path?param=value"),
        ('"@path"', "/path"),
        ('"@query"', "?param=value"),
    ],
)
def test_components_are_written_as_in_the_sections_on_them(identifier: str, expected: str) -> None:
    """2.1 and 2.2."""
    assert value(asked(*FIELDS, target="/path?param=value", host="www.example.com"), identifier) == expected


@pytest.mark.parametrize(
    ("query", "identifier", "expected"),
    [
        ("param=value&foo=bar&baz=batman&qux=", '"@query-param";name="baz"', "batman"),
        ("param=value&foo=bar&baz=batman&qux=", '"@query-param";name="qux"', ""),
        ("var=this%20is%20a%20big%0Amultiline%20value", '"@query-param";name="var"', "this%20is%20a%20big%0Amultiline%20value"),
        ("bar=with+plus+whitespace", '"@query-param";name="bar"', "with%20plus%20whitespace"),
        ("fa%C3%A7ade%22%3A%20=something", '"@query-param";name="fa%C3%A7ade%22%3A%20"', "something"),
        ("a=~*-._", '"@query-param";name="a"', "%7E*-._"),
    ],
)
def test_single_query_parameters_are_written_anew(query: str, identifier: str, expected: str) -> None:
    """2.2.8."""
    assert value(asked(target=f"/parameters?{query}"), identifier) == expected


def test_a_request_without_a_query_has_the_mark_alone() -> None:
    """2.2.7."""
    assert value(asked(target="/path"), '"@query"') == "?"


@pytest.mark.parametrize(
    ("host", "secure", "expected"), [("h.example:443", True, "h.example"), ("h.example:443", False, "h.example:443")]
)
def test_the_default_port_is_left_out_of_the_authority(host: str, secure: bool, expected: str) -> None:
    """2.2.3."""
    assert value(asked(host=host, secure=secure), '"@authority"') == expected


def test_every_algorithm_has_its_computation() -> None:
    assert len(set(JWS.values())) == len(JWS) == 6
