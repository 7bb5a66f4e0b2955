"""An identity provider for tests: real keys, tokens signed by hand so that they may be wrong in any way, a key-set server."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import trustme
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from gateway.authn.authentication import Authentication
from gateway.authn.model import Authentication as AuthenticationModel
from gateway.core.errors import DependencyDown
from gateway.core.message import NO_BODY, Head, Request
from gateway.core.ports import Fetch, Fetched, Once, SecretSource
from gateway.core.principal import Identity, Principal
from gateway.core.secret import Secret
from gateway.store.once import MemoryOnce

NOW = 1_800_000_000.0
ISSUER = "https://idp.example.com/"
AUDIENCE = "https://api.example.com"
PEPPER = b"0123456789abcdefghijklmnopqrstuvwxyz-ABCDEF"
JWKS_URL = "https://idp.example.com/jwks.json"


class FrozenClock:
    """Time that moves when told."""

    def __init__(self, now: float = NOW) -> None:
        self.time = now
        self.ticks = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.ticks

    def advance(self, seconds: float) -> None:
        self.time += seconds
        self.ticks += seconds


class Counted:
    """Metrics that remember."""

    def __init__(self) -> None:
        self.counts: list[tuple[str, dict[str, str]]] = []

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self.counts.append((name, labels))

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        self.counts.append((name, labels))


class FixedSecret:
    """A secret source whose value tests change."""

    def __init__(self, value: bytes | None, name: str = "env:TEST") -> None:
        self.name = name
        self.value = Secret(value) if value is not None else None

    def current(self) -> Secret:
        if self.value is None:
            raise DependencyDown(f"{self.name}: not there")
        return self.value

    def replace(self, value: bytes | None) -> None:
        self.value = Secret(value) if value is not None else None


Answer = Fetched | DependencyDown | Callable[[], Awaitable[Fetched]]


class Posted(NamedTuple):
    """What was sent to a URL."""

    url: str
    body: bytes
    content_type: str
    headers: dict[str, str]
    identity: tuple[str, str] | None

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True))


class ScriptedFetch:
    """A Fetch that answers from a table and remembers what it was asked."""

    def __init__(self, answers: Mapping[str, Answer] | None = None) -> None:
        self.answers: dict[str, Answer] = dict(answers or {})
        self.asked: list[str] = []
        self.options: list[dict[str, Any]] = []
        self.shown: list[str | None] = []
        self.posted: list[Posted] = []

    async def get(
        self,
        url: str,
        *,
        limit: int,
        timeout: float,
        allow_plaintext: bool = False,
        allow_private: bool = False,
        ca: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Fetched:
        self.asked.append(url)
        self.shown.append((headers or {}).get("authorization"))
        self.options.append({"limit": limit, "timeout": timeout, "plaintext": allow_plaintext, "private": allow_private, "ca": ca})
        answer = self.answers.get(url, Fetched(404, {}, b""))
        if isinstance(answer, DependencyDown):
            raise answer
        return answer if isinstance(answer, Fetched) else await answer()

    async def post(
        self,
        url: str,
        *,
        body: bytes,
        content_type: str,
        headers: Mapping[str, str] | None = None,
        limit: int,
        timeout: float,
        allow_plaintext: bool = False,
        allow_private: bool = False,
        ca: str | None = None,
        identity: tuple[str, str] | None = None,
    ) -> Fetched:
        self.posted.append(Posted(url, body, content_type, dict(headers or {}), identity))
        return await self.get(
            url, limit=limit, timeout=timeout, allow_plaintext=allow_plaintext, allow_private=allow_private, ca=ca
        )


class Held:
    """An answer that waits until the test lets it go."""

    def __init__(self, answer: Fetched) -> None:
        self.answer = answer
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self) -> Fetched:
        self.asked.set()
        await self.go.wait()
        return self.answer


def grant(identity: Identity) -> Principal:
    """A grant that gives exactly the direct roles."""
    return Principal(identity, roles=identity.roles or ())


def request(
    *fields: tuple[bytes, bytes],
    method: str = "GET",
    certificate: bytes | None = None,
    secure: bool = True,
    host: str = "api.example.com",
    path: str = "/",
    memo: dict[object, Any] | None = None,
) -> Request:
    """An admitted request with these header fields."""
    first: dict[bytes, bytes] = {}
    for name, value in fields:
        first.setdefault(name, value)
    names = [name for name, _ in fields]
    head = Head(
        host=host,
        authority=host,
        version="1.1",
        headers=list(fields),
        fields=first,
        repeated=frozenset(name for name in names if names.count(name) > 1),
        peer="192.0.2.1",
        client="192.0.2.1",
        secure=secure,
        trusted=False,
        forwarded=(),
        certificate=certificate,
        listener="main",
        memo=memo,
    )
    return Request(head, method, path, tuple(path[1:].split("/")), None, NO_BODY)


def bearer(token: str | bytes) -> tuple[bytes, bytes]:
    return b"authorization", b"Bearer " + (token.encode() if isinstance(token, str) else token)


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class RsaKey:
    """An RSA key pair under a kid."""

    def __init__(self, kid: str | None = "rsa-1", bits: int = 2048) -> None:
        self.kid = kid
        self.private = rsa.generate_private_key(65537, bits)
        self.algorithm = "RS256"

    def jwk(self, **more: Any) -> dict[str, Any]:
        numbers = self.private.public_key().public_numbers()
        return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e), **({"kid": self.kid} if self.kid else {}), **more}

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message, padding.PKCS1v15(), hashes.SHA256())


class EcKey:
    """A P-256 key pair under a kid."""

    def __init__(self, kid: str | None = "ec-1") -> None:
        self.kid = kid
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.algorithm = "ES256"

    def jwk(self, **more: Any) -> dict[str, Any]:
        numbers = self.private.public_key().public_numbers()
        x, y = (b64(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y, **({"kid": self.kid} if self.kid else {}), **more}

    def sign(self, message: bytes) -> bytes:
        r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class EdKey:
    """An Ed25519 key pair under a kid."""

    def __init__(self, kid: str | None = "ed-1") -> None:
        self.kid = kid
        self.private = ed25519.Ed25519PrivateKey.generate()
        self.algorithm = "EdDSA"

    def jwk(self, **more: Any) -> dict[str, Any]:
        x = b64(self.private.public_key().public_bytes_raw())
        return {"kty": "OKP", "crv": "Ed25519", "x": x, **({"kid": self.kid} if self.kid else {}), **more}

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)


class SharedKey:
    """A shared secret for HMAC."""

    def __init__(self, secret: bytes, algorithm: str = "HS256") -> None:
        self.kid = None
        self.secret = secret
        self.algorithm = algorithm

    def sign(self, message: bytes) -> bytes:
        return hmac.new(self.secret, message, {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}[self.algorithm]).digest()


SigningKey = RsaKey | EcKey | EdKey | SharedKey


def claims(now: float = NOW, **more: Any) -> dict[str, Any]:
    """What an ordinary token says; a claim given as None is left out."""
    ordinary = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": int(now) + 600, "iat": int(now)} | more
    return {name: value for name, value in ordinary.items() if value is not None}


def mint(key: SigningKey, payload: Mapping[str, Any] | bytes | None = None, **header: Any) -> str:
    """A signed token; a header member given as None is left out, a payload given as bytes stands as it is."""
    members = {"alg": key.algorithm, "typ": "JWT", "kid": key.kid} | header
    head = json.dumps({name: value for name, value in members.items() if value is not None}).encode()
    body = payload if isinstance(payload, bytes) else json.dumps(payload if payload is not None else claims()).encode()
    return mint_raw(key, head, body)


def mint_raw(key: SigningKey, head: bytes, body: bytes) -> str:
    """A signed token of these very bytes."""
    signed = f"{b64(head)}.{b64(body)}"
    return f"{signed}.{b64(key.sign(signed.encode()))}"


def jwks(*keys: RsaKey | EcKey | EdKey | dict[str, Any]) -> bytes:
    return json.dumps({"keys": [key if isinstance(key, dict) else key.jwk() for key in keys]}).encode()


def answer(body: bytes, max_age: int | None = None) -> Fetched:
    return Fetched(200, {"cache-control": f"public, max-age={max_age}"} if max_age is not None else {}, body)


def issuer_model(**more: Any) -> dict[str, Any]:
    """One entry under `authentication.jwt`; `None` removes a key."""
    model = {"issuer": ISSUER, "audience": [AUDIENCE], "jwks": {"url": JWKS_URL}, "algorithms": ["RS256", "ES256", "EdDSA"]} | more
    return {name: value for name, value in model.items() if value is not None}


def authentication(
    model: Mapping[str, Any],
    *,
    fetch: Fetch | None = None,
    clock: FrozenClock | None = None,
    secrets: Callable[[Any], SecretSource] | None = None,
    once: Once | None = None,
) -> Authentication:
    """The resources of a configuration given as plain data."""
    clock, metrics = clock or FrozenClock(), Counted()
    return Authentication(
        AuthenticationModel.model_validate(model),
        fetch=fetch or ScriptedFetch(),
        clock=clock,
        metrics=metrics,
        secrets=secrets or (lambda reference: FixedSecret(PEPPER)),
        once=once or MemoryOnce(clock, metrics),
    )


Serve = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def https_server(authority: trustme.CA, serve: Serve, *names: str) -> AsyncIterator[int]:
    """A TLS server on loopback that answers each request line with `serve`; gives its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*(names or ("idp.test",))).configure_cert(context)
    tasks: set[asyncio.Task[Any]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            head = await reader.readuntil(b"\r\n\r\n")
            await serve(head.decode("latin-1"), writer)
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError, asyncio.CancelledError, ssl.SSLError):
            await writer.wait_closed()
        tasks.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def response(status: int, body: bytes, *headers: str) -> bytes:
    """An HTTP/1.1 answer with a length."""
    lines = [f"HTTP/1.1 {status} Because", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def fingerprint(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()
