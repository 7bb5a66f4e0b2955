"""A connection that was made with one client certificate never carries the request of a route that shows another."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
import trustme
from cryptography import x509

from gateway.core.errors import ConfigError
from tests.frames import KEY, accept_of
from tests.house import House, config, house, read_request
from tests.http2peer import Heard, Http2Server, Peer

ROUTES = ("red", "blue", "green")
"""Two with certificates of their own; the third shows that of the upstream."""


@dataclass
class Guarded:
    """A TLS server that demands client certificates. `seen`: each request, and whose connection it came on."""

    authority: trustme.CA = field(default_factory=trustme.CA)
    clients: trustme.CA = field(default_factory=trustme.CA)
    seen: list[tuple[str, str]] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    port: int = 0
    keeps: bool = True

    def context(self, protocol: str) -> ssl.SSLContext:
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert("localhost").configure_cert(made)
        self.clients.configure_trust(made)
        made.verify_mode = ssl.CERT_REQUIRED
        made.set_alpn_protocols([protocol])
        return made

    def issue(self, folder: Path, name: str, common_name: str = "") -> None:
        """Put a client's chain and key into place."""
        leaf = self.clients.issue_cert(f"{name}@client.example", common_name=common_name or name)
        (folder / f"{name}.crt").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        (folder / f"{name}.key").write_bytes(leaf.private_key_pem.bytes())

    @asynccontextmanager
    async def in_text(self) -> AsyncIterator[Self]:
        """It speaks HTTP/1.1, and takes WebSockets."""
        tasks: set[asyncio.Task[Any]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._talk(reader, writer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=self.context("http/1.1"))
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        who = shown_by(writer)
        self.opened.append(who)
        while (seen := await read_request(reader)) is not None:
            self.seen.append((seen.target, who))
            if keys := seen.all("sec-websocket-key"):
                accept = b"Sec-WebSocket-Accept: " + accept_of(keys[0].encode())
                writer.write(b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + accept + b"\r\n\r\n")
                await reader.read()
                return
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + (b"" if self.keeps else b"Connection: close\r\n") + b"\r\nok"
            )
            if not self.keeps:
                return

    @asynccontextmanager
    async def in_frames(self) -> AsyncIterator[Self]:
        """It speaks HTTP/2."""

        def answer(peer: Peer, stream: int, heard: Heard) -> None:
            self.seen.append((heard[":path"], shown_by(peer.writer)))
            peer.head(stream, [(":status", "200")], end=False)
            peer.data(stream, b"ok")

        async with Http2Server(answer, tls=self.context("h2")) as server:
            self.port = server.port
            yield self
            self.opened += [shown_by(peer.writer) for peer in server.peers]


def shown_by(writer: asyncio.StreamWriter) -> str:
    """The common name of the certificate that a client showed."""
    certificate = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    return str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def parts(folder: Path, guarded: Guarded, **upstream: Any) -> dict[str, Any]:
    """Three routes to one upstream, with three certificates: one key is in a file, one in a variable, one is the upstream's."""
    guarded.authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name in ROUTES:
        guarded.issue(folder, name)
    keys = {"red": {"file": "red.key"}, "blue": {"env": "BLUE_KEY"}}
    target = {"url": f"https://localhost:{guarded.port}", "allow_private": True, **upstream}
    target["tls"] = {"ca": "ca.pem", "client_certificate": "green.crt", "client_key": {"file": "green.key"}}
    return {
        "credentials": {name: {"inject": "mtls", "certificate": f"{name}.crt", "key": keys[name]} for name in keys},
        "upstreams": {"guarded": target},
        "routes": [
            {
                "name": name,
                "match": {"path": f"/{name}/**"},
                "upstream": "guarded",
                **({"credential": name} if name in keys else {}),
                "authenticate": ["jwt.corp"],
                "websocket": not upstream.get("http2"),
            }
            for name in ROUTES
        ],
    }


@asynccontextmanager
async def place(folder: Path, guarded: Guarded, **upstream: Any) -> AsyncIterator[House]:
    over = parts(folder, guarded, **upstream)
    async with house(folder, environ={"BLUE_KEY": (folder / "blue.key").read_text()}, **over) as started:
        yield started


async def ask(here: House, *names: str) -> set[int]:
    token = here.keys.token()
    return {reply.status for reply in await asyncio.gather(*(here.get(f"/{name}/x", token=token) for name in names))}


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
async def test_a_connection_of_one_certificate_is_never_reused_for_the_route_of_another(tmp_path: Path, http2: bool) -> None:
    guarded = Guarded()
    async with guarded.in_frames() if http2 else guarded.in_text():
        async with place(tmp_path, guarded, http2=http2, connections=2) as here:
            for _ in range(5):
                assert await ask(here, "red") == {200}
                assert await ask(here, "blue") == {200}
                assert await ask(here, "green") == {200}
            assert await ask(here, *ROUTES * 4) == {200}
            assert {(path.split("/")[1], who) for path, who in guarded.seen} == {(name, name) for name in ROUTES}
            assert len(guarded.seen) == 27
            assert {(event["upstream"], event["credential"]) for event in await here.requests()} == {
                ("guarded", "red"),
                ("guarded", "blue"),
                ("guarded", None),
            }
    assert len(guarded.opened) <= 3 * 2, "each kept its own connections and used them again"


async def test_a_websocket_is_opened_with_the_certificate_of_its_route(tmp_path: Path) -> None:
    guarded = Guarded()
    async with guarded.in_text(), place(tmp_path, guarded) as here:
        assert await ask(here, "blue") == {200}, "a connection of the other's lies ready"
        for name in ROUTES:
            offer = {
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": KEY.decode(),
            }
            reader, writer = await asyncio.open_connection(*here.address())
            lines = "".join(f"{field}: {value}\r\n" for field, value in offer.items())
            token = here.keys.token()
            writer.write(f"GET /{name}/ws HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {token}\r\n{lines}\r\n".encode())
            async with asyncio.timeout(60):
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            writer.close()
            assert guarded.seen[-1] == (f"/{name}/ws", name)


async def test_a_replaced_certificate_is_shown_by_the_next_connection(tmp_path: Path) -> None:
    guarded = Guarded(keeps=False)
    async with guarded.in_text(), place(tmp_path, guarded) as here:
        assert await ask(here, "red", "blue") == {200}
        guarded.issue(tmp_path, "red", "anew")
        here.process.loaded.secrets.refresh()
        assert await ask(here, "red") == {200}
        assert await ask(here, "blue") == {200}
        assert [who for _, who in guarded.seen[-2:]] == ["anew", "blue"]


async def test_a_reload_that_takes_the_certificate_away_takes_its_connections_away(tmp_path: Path) -> None:
    guarded = Guarded()
    async with guarded.in_text(), place(tmp_path, guarded) as here:
        assert await ask(here, "red", "blue", "green") == {200}
        over = parts(tmp_path, guarded)
        over["routes"][0]["credential"] = "blue"
        del over["credentials"]["red"]
        here.write(config(0, **over))
        assert await here.process.reload()
        assert await ask(here, "red") == {200}
        assert guarded.seen[-1] == ("/red/x", "blue")
        assert set(here.process.resources.status()["upstreams"]) == {"guarded", "guarded/blue"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"key": {"env": "OTHER_KEY"}}, "credentials.red: tls: a certificate, key or CA file cannot be used"),
        ({"key": {"env": "NO_KEY"}}, "credentials.red"),
        ({"certificate": "nowhere.crt"}, "no such file"),
    ],
    ids=["another's key", "no key", "no certificate"],
)
async def test_a_certificate_that_cannot_be_shown_refuses_the_start(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    guarded = Guarded(port=1)
    over = parts(tmp_path, guarded)
    over["credentials"]["red"] |= change
    variables = {f"{name}_KEY".upper(): (tmp_path / f"{name}.key").read_text() for name in ("blue", "green")}
    with pytest.raises(ConfigError, match=told) as refusal:
        async with house(tmp_path, environ={**variables, "OTHER_KEY": variables["GREEN_KEY"], "NO_KEY": "canary"}, **over):
            raise AssertionError("it started")
    assert "canary" not in str(refusal.value)
