"""Amazon's side of a signature, as far as tests need it: recomputes it from what arrived, by the manual and not by our code."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote_to_bytes

KEY_ID = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)


@dataclass
class Verified:
    """What a signature that holds says. `content` is the body without frames."""

    names: list[str]
    date: str
    payload: str
    content: bytes
    trailers: dict[str, str]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def verify(
    method: str, target: str, headers: list[tuple[str, str]], body: bytes, *, secret: str = SECRET, id: str = KEY_ID
) -> Verified:
    """Raises AssertionError for what Amazon would refuse."""
    fields: dict[str, list[str]] = {}
    for name, value in headers:
        fields.setdefault(name.lower(), []).append(re.sub(" +", " ", value.strip()))
    [authorization] = fields["authorization"]
    found = AUTHORIZATION.fullmatch(authorization)
    assert found, authorization
    key_id, day, region, service, signed, given = found.groups()
    names = signed.split(";")
    assert names == sorted(set(names))
    assert "host" in names
    assert {name for name in fields if name.startswith("x-amz-")} <= set(names), "an x-amz- field that is not signed"
    [date], [payload] = fields["x-amz-date"], fields["x-amz-content-sha256"]
    assert date.startswith(day)
    text = canonical(method, target, fields, signed, payload, service)
    scope = f"{day}/{region}/{service}/aws4_request"
    key = derived(secret, day, region, service)
    assert mac(key, f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{sha(text.encode())}").hex() == given, text
    assert key_id == id
    content = body
    trailers: dict[str, str] = {}
    if payload.startswith("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
        content, trailers = unframed(body, key, f"{date}\n{scope}", given)
        assert fields["content-encoding"][0].split(",")[-1] == "aws-chunked"
        assert fields["x-amz-decoded-content-length"] == [str(len(content))]
        assert bool(trailers) is payload.endswith("-TRAILER")
        assert ",".join(trailers) == ",".join(fields.get("x-amz-trailer", []))
    elif payload != "UNSIGNED-PAYLOAD":
        assert payload == sha(body)
    return Verified(names, date, payload, content, trailers)


def canonical(method: str, target: str, fields: dict[str, list[str]], signed: str, payload: str, service: str) -> str:
    """The canonical request. `signed` are the names of the fields in it."""
    path, _, query = target.partition("?")
    plain = unquote_to_bytes(path)
    assert b"//" not in plain
    canonical_path = quote(plain, safe="/") if service == "s3" else quote(quote(plain, safe="/"), safe="/")
    pairs = parse_qsl(query, keep_blank_values=True, encoding="latin-1", separator="&")
    encoded = sorted((quote(name.encode("latin-1"), safe=""), quote(value.encode("latin-1"), safe="")) for name, value in pairs)
    return "\n".join(
        [
            method,
            canonical_path,
            "&".join(f"{name}={value}" for name, value in encoded),
            *(f"{name}:{','.join(fields[name])}" for name in signed.split(";")),
            "",
            signed,
            payload,
        ]
    )


def derived(secret: str, day: str, region: str, service: str) -> bytes:
    """The signing key."""
    return mac(mac(mac(mac(b"AWS4" + secret.encode(), day), region), service), "aws4_request")


def sign(
    method: str,
    target: str,
    headers: dict[str, str],
    *,
    keys: tuple[str, str],
    date: str,
    scope: tuple[str, str] = ("eu-west-1", "s3"),
    payload: str | None = None,
    body: bytes = b"",
) -> dict[str, str]:
    """The header fields of a client's request, names in lower case, with its signature. `payload` is None where no field says it."""
    fields = {**headers, "x-amz-date": date} | ({} if payload is None else {"x-amz-content-sha256": payload})
    signed, where = ";".join(sorted(fields)), "/".join((date[:8], *scope, "aws4_request"))
    text = canonical(
        method, target, {name: [re.sub(" +", " ", value)] for name, value in fields.items()}, signed, payload or sha(body), scope[1]
    )
    made = mac(derived(keys[1], date[:8], *scope), f"AWS4-HMAC-SHA256\n{date}\n{where}\n{sha(text.encode())}").hex()
    return fields | {"authorization": f"AWS4-HMAC-SHA256 Credential={keys[0]}/{where}, SignedHeaders={signed}, Signature={made}"}


def unframed(body: bytes, key: bytes, prefix: str, last: str) -> tuple[bytes, dict[str, str]]:
    """The content of signed chunks and its trailers."""
    content = b""
    while True:
        line, _, body = body.partition(b"\r\n")
        size, _, given = line.decode().partition(";chunk-signature=")
        chunk, body = body[: int(size, 16)], body[int(size, 16) :]
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{prefix}\n{last}\n{sha(b'')}\n{sha(chunk)}"
        last = mac(key, text).hex()
        assert last == given
        content += chunk
        if not chunk:
            break
        assert body[:2] == b"\r\n"
        body = body[2:]
    *lines, end, rest = body.split(b"\r\n")
    assert (end, rest) == (b"", b"")
    if not lines:
        return content, {}
    *trailers, signature = [line.decode() for line in lines]
    text = "".join(trailer + "\n" for trailer in trailers)
    expected = mac(key, f"AWS4-HMAC-SHA256-TRAILER\n{prefix}\n{last}\n{sha(text.encode())}").hex()
    assert signature == f"x-amz-trailer-signature:{expected}"
    return content, dict(trailer.split(":", 1) for trailer in trailers)


def frames(chunks: list[bytes], fields: dict[str, str], secret: str, trailers: dict[str, str] | None = None) -> bytes:
    """A body in signed chunks, behind the header fields that `sign` made."""
    found = AUTHORIZATION.fullmatch(fields["authorization"])
    assert found
    _, day, region, service, _, last = found.groups()
    key, prefix = derived(secret, day, region, service), f"{fields['x-amz-date']}\n{day}/{region}/{service}/aws4_request"
    wire = b""
    for chunk in (*chunks, b""):
        last = mac(key, f"AWS4-HMAC-SHA256-PAYLOAD\n{prefix}\n{last}\n{sha(b'')}\n{sha(chunk)}").hex()
        wire += f"{len(chunk):x};chunk-signature={last}\r\n".encode() + (chunk + b"\r\n" if chunk else b"")
    if trailers:
        text = "".join(f"{name}:{value}\n" for name, value in trailers.items())
        last = mac(key, f"AWS4-HMAC-SHA256-TRAILER\n{prefix}\n{last}\n{sha(text.encode())}").hex()
        wire += f"{text}x-amz-trailer-signature:{last}\n".replace("\n", "\r\n").encode()
    return wire + b"\r\n"
