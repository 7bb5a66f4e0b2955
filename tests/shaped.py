"""What tests of shaped answers share: policies that demand it, and upstreams' answers."""

import json
from typing import Any

from tests.house import House, Reply

START = 'apiVersion: gateway/v1\nkind: Policy\nname: p\nroutes: ["*"]\nrules:\n'
MAIL = b'{"id": 1, "email": "alice@example.com"}'


def demanding(**then: Any) -> str:
    """A policy that allows everything and demands this."""
    return START + f"  - {{name: r, allow: any, then: {json.dumps(then)}}}\n"


def redacting(*paths: str, style: str = "remove") -> str:
    return demanding(redact={"response": list(paths), "style": style})


def answer(body: bytes, *fields: str, status: str = "200 OK", kind: str | None = "application/json") -> bytes:
    """An answer with its length."""
    lines = [f"HTTP/1.1 {status}", *([f"Content-Type: {kind}"] if kind else []), f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*pieces: bytes, kind: str = "application/json", last: bytes = b"0\r\n\r\n") -> bytes:
    """The same in chunks."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + last


async def asked(gateway: House, **request: Any) -> Reply:
    return await gateway.get("/public/x", **request)


async def told(gateway: House) -> Any:
    """What the trail says of the last answer."""
    return (await gateway.requests())[-1]["answer"]
