"""A whole gateway for tests: real files, real sockets, a real upstream that remembers what reached it."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import jwt
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.apart import prepare
from gateway.process import Process
from gateway.settings import Loaded
from gateway.source import Source, with_policies

UPSTREAM_TOKEN = "canary-upstream-token-7f3a"
ISSUER = "https://idp.example.com/"
AUDIENCE = "https://api.example.com"


@dataclass
class Reply:
    """One answer as it stood on the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str:
        return next(value for key, value in self.headers if key.lower() == name.lower())

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Seen:
    """One request as it reached the upstream."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def names(self) -> set[str]:
        return {key.lower() for key, _ in self.headers}


@dataclass
class Upstream:
    """An HTTP/1.1 server that remembers. `answer` is, or makes of a request, the raw answer."""

    seen: list[Seen] = field(default_factory=list)
    port: int = 0
    opened: int = 0
    answer: bytes | Callable[[Seen], bytes] = (
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'
    )
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self._writers.add(writer)
        try:
            while (seen := await read_request(reader)) is not None:
                self.seen.append(seen)
                answer = self.answer(seen) if callable(self.answer) else self.answer
                if seen.method == "HEAD":
                    answer = answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


async def read_head(reader: asyncio.StreamReader) -> tuple[str, list[tuple[str, str]]] | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    return first, [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]


async def read_body(reader: asyncio.StreamReader, headers: list[tuple[str, str]], *, until_end: bool) -> bytes:
    fields = {name.lower(): value for name, value in headers}
    if fields.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
        return body
    if "content-length" in fields:
        return await reader.readexactly(int(fields["content-length"]))
    return await reader.read() if until_end else b""


async def read_request(reader: asyncio.StreamReader) -> Seen | None:
    head = await read_head(reader)
    if head is None:
        return None
    method, target, _ = head[0].split(" ")
    return Seen(method, target, head[1], await read_body(reader, head[1], until_end=False))


async def read_reply(reader: asyncio.StreamReader, method: str) -> Reply:
    while True:
        head = await read_head(reader)
        if head is None:
            raise ConnectionResetError("closed without an answer")
        status = int(head[0].split(" ")[1])
        if status >= 200:
            break
    bodiless = method == "HEAD" or status in (204, 304)
    return Reply(status, head[1], b"" if bodiless else await read_body(reader, head[1], until_end=True))


async def converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes, *, method: str = "GET", close: bool = False
) -> Reply:
    """Send bytes, read one answer, hang up. `close`: the other side must have hung up by itself."""
    try:
        writer.write(data)
        async with asyncio.timeout(60):
            reply = await read_reply(reader, method)
            if close:
                assert await reader.read() == b"", "the connection goes on after an answer that should end it"
        return reply
    finally:
        writer.close()


def request_bytes(
    target: str,
    *,
    method: str = "GET",
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    host: str = "gw.test",
) -> bytes:
    """A whole request as it stands on the wire."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Keys:
    """An issuer's key pair, with its key set on disk."""

    def __init__(self, folder: Path) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.private.public_key()))
        self.file = folder / "jwks.json"
        self.file.write_text(json.dumps({"keys": [{**public, "kid": "k1", "alg": "ES256", "use": "sig"}]}))

    def token(self, subject: str = "alice", **claims: Any) -> str:
        now = int(time.time())
        body = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": now,
            "exp": now + 600,
            "roles": ["member"],
            "org": "acme",
        } | claims
        return jwt.encode(
            {key: value for key, value in body.items() if value is not None}, self.private, "ES256", headers={"kid": "k1"}
        )


POLICY = """
apiVersion: gateway/v1
kind: Policy
name: tests
routes: ["*"]
rules:
  - {name: members, allow: any, permission: "things:use", when: "subject.issuer != 'anonymous'"}
  - {name: open, allow: any, when: "resource.route.startsWith('open')"}
"""
ROLES = """
apiVersion: gateway/v1
kind: Roles
roles: {member: ["things:use"]}
bindings: [{from_claim: roles, issuer: corp, only: [member]}]
"""


def config(upstream_port: int, upstream: dict[str, Any] | None = None, **over: Any) -> dict[str, Any]:
    """A configuration with an open and a protected route over everything beneath their prefixes."""
    target = {"url": f"http://127.0.0.1:{upstream_port}", "allow_plaintext": True, "allow_private": True} | (upstream or {})
    base: dict[str, Any] = {
        "version": 1,
        "listen": {"address": "127.0.0.1:0"},
        "admin": {"address": "127.0.0.1:0"},
        "authentication": {
            "jwt": {"corp": {"issuer": ISSUER, "audience": [AUDIENCE], "jwks": {"file": "jwks.json"}, "algorithms": ["ES256"]}}
        },
        "policies": "policies",
        "credentials": {"bot": {"inject": "bearer", "secret": {"env": "UPSTREAM_TOKEN"}}},
        "upstreams": {"api": {**target, "credential": "bot"}, "plain": target},
        "routes": [
            {"name": "open.public", "match": {"path": "/public/**"}, "upstream": "plain", "anonymous": True},
            {"name": "admin", "match": {"path": "/admin/**"}, "upstream": "api", "authenticate": ["jwt.corp"]},
            {"name": "things", "match": {"path": "/things/{thing}"}, "upstream": "api", "authenticate": ["jwt.corp"]},
        ],
        "audit": {"file": "audit.jsonl"},
        "log": {"level": "debug"},
    }
    return base | over


class Plain(yaml.SafeDumper):
    """YAML without anchors, as the gateway wants it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def written(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=Plain, sort_keys=False)


class House:
    """A running gateway with its upstream."""

    def __init__(self, process: Process, upstream: Upstream, keys: Keys, folder: Path) -> None:
        self.process = process
        self.upstream = upstream
        self.keys = keys
        self.folder = folder

    def address(self, listener: str = "listen") -> tuple[str, int]:
        return self.process.address(listener)

    async def raw(
        self, data: bytes, *, method: str = "GET", listener: str = "listen", close: bool = False, tls: ssl.SSLContext | None = None
    ) -> Reply:
        """Send bytes, read one answer."""
        name = "localhost" if tls is not None else None
        streams = await asyncio.open_connection(*self.address(listener), ssl=tls, server_hostname=name)
        return await converse(*streams, data, method=method, close=close)

    async def get(
        self,
        target: str,
        *,
        method: str = "GET",
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        host: str = "gw.test",
        listener: str = "listen",
    ) -> Reply:
        data = request_bytes(target, method=method, token=token, headers=headers, body=body, host=host)
        return await self.raw(data, method=method, listener=listener)

    async def events(self) -> list[dict[str, Any]]:
        """The audit trail so far."""
        await self.process.flush()
        return [json.loads(line) for line in (self.folder / "audit.jsonl").read_text().splitlines()]

    async def requests(self) -> list[dict[str, Any]]:
        return [event for event in await self.events() if event["event"] == "request"]

    async def only_request(self) -> dict[str, Any]:
        """The event of the one request, when it is over."""
        async with asyncio.timeout(60):
            while not (found := await self.requests()):
                await asyncio.sleep(0.02)
        [event] = found
        return event

    def write(self, document: dict[str, Any]) -> None:
        (self.folder / "config.yaml").write_text(written(document))


class Here(Source):
    """Prepares in the test's process what a reload prepares in one of its own, which takes a second to start."""

    def load_apart(self) -> Loaded:
        made = prepare(self.paths, self.env_files, self.environ)
        return with_policies(self.loaded(made), made)


@asynccontextmanager
async def house(
    folder: Path,
    *,
    policy: str = POLICY,
    roles: str = ROLES,
    environ: Mapping[str, str] | None = None,
    apart: bool = False,
    **over: Any,
) -> AsyncIterator[House]:
    """A gateway configured by `config(**over)` in front of a remembering upstream; `apart`, its reloads are prepared as in earnest."""
    async with Upstream() as upstream:
        keys = Keys(folder)
        (folder / "policies").mkdir(exist_ok=True)
        (folder / "policies" / "policy.yaml").write_text(policy)
        (folder / "policies" / "roles.yaml").write_text(roles)
        document = config(upstream.port, **over)
        (folder / "config.yaml").write_text(written(document))
        variables = {"UPSTREAM_TOKEN": UPSTREAM_TOKEN, **(environ or {})}
        source = Source if apart else Here
        process = Process(source((folder / "config.yaml",), (), variables))
        await process.start()
        try:
            yield House(process, upstream, keys, folder)
        finally:
            await process.stop()
