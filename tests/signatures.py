"""Requests signed by HTTP message signatures, written by hand so that they may be wrong in any way."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.authn.authentication import Authentication
from gateway.core.errors import Unauthenticated
from gateway.core.message import NO_BODY, Field, Head, Request
from gateway.core.ports import Once
from gateway.core.principal import Principal
from tests.fakes import HeldBody
from tests.issuer import NOW, EdKey, FrozenClock, RsaKey, SigningKey, authentication, grant

HOST = "api.example.com"
TARGET = "/orders?to=alice"
BODY = b'{"amount": 5}'
COVERED = ("@method", "@target-uri", "content-digest")


def content_digest(body: bytes, algorithm: str = "sha-256") -> str:
    made = hashlib.new(algorithm.replace("-", ""), body).digest()
    return f"{algorithm}=:{base64.b64encode(made).decode()}:"


def parameters(**stated: Any) -> str:
    """Signature parameters in the order given; None leaves one out."""
    written = {name: f'"{value}"' if isinstance(value, str) else str(value) for name, value in stated.items() if value is not None}
    return "".join(f";{name}={value}" for name, value in written.items())


def signed(
    key: SigningKey, lines: Mapping[str, str] | Sequence[tuple[str, str]], stated: str, label: str = "sig1"
) -> tuple[Field, Field]:
    """The two fields of a signature over component identifiers, as they stand in the list, and their values."""
    listed = list(lines.items()) if isinstance(lines, Mapping) else list(lines)
    said = f"({' '.join(identifier for identifier, _ in listed)}){stated}"
    base = "\n".join(f"{identifier}: {value}" for identifier, value in [*listed, ('"@signature-params"', said)])
    signature = base64.b64encode(key.sign(base.encode("ascii"))).decode()
    return (b"signature-input", f"{label}={said}".encode()), (b"signature", f"{label}=:{signature}:".encode())


def joined(*signatures: tuple[Field, Field]) -> list[Field]:
    """Several signatures in one field each."""
    return [(signatures[0][place][0], b", ".join(signature[place][1] for signature in signatures)) for place in (0, 1)]


def components(
    *names: str,
    method: str = "POST",
    target: str = TARGET,
    body: bytes = BODY,
    host: str = HOST,
    scheme: str = "https",
    **fields: str,
) -> dict[str, str]:
    """Component identifiers and values, as an honest caller has them."""
    path, _, query = target.partition("?")
    known = {
        "@method": method,
        "@target-uri": f"{scheme}://{host}{target}",
        "@authority": host,
        "@scheme": scheme,
        "@path": path,
        "@query": f"?{query}",
        "@request-target": target,
        "content-digest": content_digest(body),
    } | {name.replace("_", "-"): value for name, value in fields.items()}
    return {f'"{name}"': known[name] for name in names}


def asked(
    *fields: Field,
    method: str = "POST",
    target: str = TARGET,
    body: bytes | None = BODY,
    host: str = HOST,
    secure: bool = True,
    declared: bool = True,
) -> Request:
    """An admitted request, as intake would have made it; a body brings its Content-Digest unless one is among the fields."""
    listed = [*fields]
    if body is not None and not any(name == b"content-digest" for name, _ in listed):
        listed.append((b"content-digest", content_digest(body).encode()))
    first: dict[bytes, bytes] = {}
    for name, value in listed:
        first.setdefault(name, value)
    names = [name for name, _ in listed]
    head = Head(
        host=host.partition(":")[0],
        authority=host,
        version="1.1",
        headers=listed,
        fields=first,
        repeated=frozenset(name for name in names if names.count(name) > 1),
        peer="192.0.2.1",
        client="192.0.2.1",
        secure=secure,
        trusted=False,
        forwarded=(),
        certificate=None,
        listener="main",
    )
    path, mark, query = target.partition("?")
    held = NO_BODY if body is None else HeldBody(body, declared=declared)
    return Request(head, method, path, tuple(path[1:].split("/")), query.encode() if mark else None, held)


class Door:
    """A way in for the callers of entries of signatures."""

    def __init__(
        self, entries: Mapping[str, Any], *, once: Once | None = None, now: float = NOW, accept: Sequence[str] = (), **more: Any
    ) -> None:
        self.clock = FrozenClock(now)
        self.authentication: Authentication = authentication(
            {"signatures": entries, **more.pop("model", {})}, clock=self.clock, once=once, **more
        )
        names = tuple(accept or [f"signatures.{name}" for name in entries])
        self.gate = self.authentication.gate(names, anonymous=False, grant=grant)

    async def ask(self, request: Request) -> Principal:
        return await self.gate.authenticate(request)

    async def refused(self, request: Request) -> Unauthenticated:
        try:
            principal = await self.gate.authenticate(request)
        except Unauthenticated as error:
            return error
        raise AssertionError(f"let in as {principal.issuer}:{principal.id}")


class Partner:
    """A caller with an Ed25519 key, and the gateway's entry for it."""

    def __init__(self, **entry: Any) -> None:
        self.key = EdKey("partner-1")
        self.entry = {"keys": {"partner-1": {"algorithm": "ed25519", "jwk": self.key.jwk(), "subject": "partner"}}} | entry
        self.door = Door({"partners": self.entry})

    def sign(self, *names: str, stated: Mapping[str, Any] | None = None, label: str = "sig1", **more: Any) -> tuple[Field, Field]:
        """A signature as an honest caller makes it, but for what is said otherwise."""
        given = parameters(**({"created": int(NOW), "keyid": "partner-1"} | dict(stated or {})))
        return signed(self.key, components(*(names or COVERED), **more), given, label)


__all__ = [
    "BODY",
    "HOST",
    "TARGET",
    "Door",
    "EdKey",
    "Partner",
    "RsaKey",
    "asked",
    "components",
    "content_digest",
    "joined",
    "parameters",
    "signed",
]
