"""Certificates that openssl makes, revokes and lists: who is let in, and what becomes of lists that end, are fetched, or are forged."""

import asyncio
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config.values import FileSecret
from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetched
from gateway.edge.model import CrlSource, Listen, Tls
from gateway.revocations import Revocations, merged
from gateway.server.tls import ServerTls
from gateway.settings import Settings
from tests.fakes import CountingMetrics
from tests.issuer import ScriptedFetch
from tests.standalone import until

URL = "https://pki.example.com/clients.crl"
CONF = """
[ca]
default_ca = me
[me]
database = {folder}/index.txt
serial = {folder}/serial
crlnumber = {folder}/crlnumber
new_certs_dir = {folder}
certificate = {folder}/ca.crt
private_key = {folder}/ca.key
default_md = sha256
default_days = 30
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
[req]
distinguished_name = dn
[dn]
"""


class Authority:
    """A CA of openssl, with what it issued."""

    def __init__(self, folder: Path, name: str = "Clients") -> None:
        folder.mkdir()
        self.folder = folder
        self.conf = folder / "openssl.cnf"
        self.conf.write_text(CONF.format(folder=folder))
        (folder / "index.txt").touch()
        for file in ("serial", "crlnumber"):
            (folder / file).write_text("1000\n")
        usage = ["-addext", "basicConstraints=critical,CA:true", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        self.openssl("req", "-x509", *self.key("ca"), "-subj", f"/CN={name}", "-days", "30", "-out", "ca.crt", *usage)

    def key(self, name: str) -> list[str]:
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]

    def openssl(self, command: str, *arguments: str) -> None:
        config = ["-config", str(self.conf)] if command in {"req", "ca"} else []
        subprocess.run(["openssl", command, *config, *arguments], cwd=self.folder, check=True, capture_output=True, timeout=60)

    def issue(self, name: str, san: str = "DNS:localhost") -> Path:
        self.openssl("req", *self.key(name), "-subj", f"/CN={name}", "-addext", f"subjectAltName={san}", "-out", f"{name}.csr")
        self.openssl("ca", "-batch", "-notext", "-in", f"{name}.csr", "-out", f"{name}.crt")
        return self.folder / f"{name}.crt"

    def revoke(self, name: str) -> None:
        self.openssl("ca", "-revoke", f"{name}.crt")

    def listed(self, name: str = "list.crl", *times: str) -> bytes:
        """The list as it stands now, in PEM."""
        self.openssl("ca", "-gencrl", "-out", name, *(times or ("-crldays", "2")))
        return (self.folder / name).read_bytes()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "ca")
    for name in ("server", "good", "bad"):
        made.issue(name)
    return made


def listener(authority: Authority, **more: Any) -> Tls:
    at = authority.folder
    (at / "clients.crl").write_bytes(authority.listed())
    key = FileSecret(file=at / "server.key")
    return Tls(
        certificate=at / "server.crt",
        key=key,
        client_ca=at / "ca.crt",
        client_auth="require",
        client_crl=at / "clients.crl",
        **more,
    )


def let_in(tls: ServerTls, authority: Authority, name: str) -> bool:
    """Whether a handshake with a client's certificate ends well, without a socket."""
    context = ssl.create_default_context(cafile=str(authority.folder / "ca.crt"))
    context.load_cert_chain(authority.folder / f"{name}.crt", authority.folder / f"{name}.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = tls.context.wrap_bio(to_server, to_client, server_side=True)
    done: set[object] = set()
    for _ in range(10):
        for end in (client, server):
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return done == {client, server}


def test_a_revoked_certificate_is_refused_once_the_list_says_so(authority: Authority) -> None:
    tls = ServerTls(listener(authority))
    assert let_in(tls, authority, "good")
    assert let_in(tls, authority, "bad")
    authority.revoke("bad")
    (authority.folder / "clients.crl").write_bytes(authority.listed())
    assert tls.changed()
    trust = tls.trust
    tls.reload()
    assert tls.trust != trust
    assert let_in(tls, authority, "good")
    assert not let_in(tls, authority, "bad")


def test_a_list_that_has_ended_lets_nobody_in(authority: Authority) -> None:
    model = listener(authority)
    past = ("-crl_lastupdate", "20250101000000Z", "-crl_nextupdate", "20250201000000Z")
    (authority.folder / "clients.crl").write_bytes(authority.listed("old.crl", *past))
    assert not let_in(ServerTls(model), authority, "good")


def test_an_authority_that_leaves_the_bundle_takes_its_clients_with_it(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "Others")
    tls = ServerTls(listener(authority).model_copy(update={"client_crl": None}))
    trust = tls.trust
    bundle = authority.folder / "ca.crt"
    before = bundle.read_bytes()
    bundle.write_bytes((other.folder / "ca.crt").read_bytes())
    tls.reload()
    bundle.write_bytes(before)
    assert tls.trust != trust
    assert not let_in(tls, authority, "good")


class Live:
    """A configuration with one listener, and a publisher of lists."""

    def __init__(self, authority: Authority) -> None:
        self.fetch = ScriptedFetch()
        self.metrics = CountingMetrics()
        self.tls = listener(authority, client_crl_url=CrlSource(url=URL))
        self.path = authority.folder / "clients.crl"
        settings = Settings.model_construct(version=1, listen=Listen.model_construct(tls=self.tls), listeners=None)
        self.revocations = Revocations(lambda: settings, self.fetch, self.metrics)

    async def look(self, body: bytes | DependencyDown) -> bytes:
        """What is in the file after a look."""
        self.revocations._due.clear()
        self.fetch.answers[URL] = Fetched(200, {}, body) if isinstance(body, bytes) else body
        await self.revocations.look()
        return self.path.read_bytes()


async def test_a_list_is_fetched_kept_and_kept_while_its_publisher_is_down(authority: Authority) -> None:
    live = Live(authority)
    tls = ServerTls(live.tls)
    before = live.path.read_bytes()
    assert await live.look(DependencyDown("down")) == before
    authority.revoke("bad")
    newer = authority.listed("newer.crl")
    der = x509.load_pem_x509_crl(newer)
    assert await live.look(der.public_bytes(Encoding.DER)) == der.public_bytes(Encoding.PEM)
    tls.reload()
    assert let_in(tls, authority, "good")
    assert not let_in(tls, authority, "bad")
    assert await live.look(DependencyDown("down")) == der.public_bytes(Encoding.PEM)
    assert live.metrics.counted("gateway.tls.crl.fetches", listener="listen", outcome="success") == 1
    assert live.metrics.counted("gateway.tls.crl.fetches", listener="listen", outcome="failure") == 2
    assert live.fetch.asked == [URL] * 3


async def test_it_is_not_fetched_before_its_time_nor_where_a_certificate_says(authority: Authority) -> None:
    live = Live(authority)
    live.fetch.answers[URL] = Fetched(200, {}, authority.listed("again.crl"))
    for _ in range(5):
        await live.revocations.look()
    assert live.fetch.asked == [URL]


async def test_a_publisher_that_hangs_delays_no_other_list(authority: Authority) -> None:
    """Whoever can slow one publisher down would else keep a revoked certificate in, by another list."""
    answered = asyncio.Event()

    class Hanging(ScriptedFetch):
        async def get(self, url: str, **options: Any) -> Fetched:
            if url != URL:
                await answered.wait()
            return await super().get(url, **options)

    live = Live(authority)
    slow = CrlSource(url="https://slow.example.com/clients.crl")
    apart = listener(authority, client_crl_url=slow).model_copy(update={"client_crl": authority.folder / "apart.crl"})
    listeners = {"slow": Listen.model_construct(tls=apart), "quick": Listen.model_construct(tls=live.tls)}
    settings = Settings.model_construct(version=1, listeners=listeners)
    newest = authority.listed("newest.crl")
    fetch = Hanging({URL: Fetched(200, {}, newest), slow.url: DependencyDown("down")})
    looking = asyncio.create_task(Revocations(lambda: settings, fetch, live.metrics).look())

    async def renewed() -> bool:
        return live.path.read_bytes() == newest

    await until(renewed, "the quick list waits for the slow one")
    answered.set()
    await looking
    assert live.metrics.counted("gateway.tls.crl.fetches", listener="slow", outcome="failure") == 1


async def test_a_list_that_is_forged_stale_put_back_or_partial_changes_nothing(authority: Authority, tmp_path: Path) -> None:
    live = Live(authority)
    impostor = Authority(tmp_path / "impostor")  # of the same name
    old = live.path.read_bytes()
    authority.revoke("bad")
    newest = authority.listed("newest.crl")
    assert await live.look(newest) == newest
    past, future = "20250101000000Z", "20250201000000Z"
    for bad in (
        old,
        impostor.listed(),
        authority.listed("ended.crl", "-crl_lastupdate", past, "-crl_nextupdate", future),
        authority.listed("later.crl", "-crl_lastupdate", "20990101000000Z", "-crl_nextupdate", "20990201000000Z"),
        newest[:-40],
        b"",
        b"<html>",
        (authority.folder / "ca.crt").read_bytes(),
    ):
        assert await live.look(bad) == newest


def test_lists_of_other_authorities_in_the_file_stay(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "Others")
    both = [x509.load_pem_x509_certificate((each.folder / "ca.crt").read_bytes()) for each in (authority, other)]
    first, theirs = authority.listed(), other.listed()
    after = merged(authority.listed("second.crl"), first + theirs, both, time.time())
    assert theirs.strip() in after
    assert first.strip() not in after
    assert len(x509.load_pem_x509_crl(after).extensions) >= 1
    with pytest.raises(ValueError, match="no authority"):
        merged(theirs, first, both[:1], time.time())
