"""Pages on providers: a gateway with the page's configuration stands before stand-ins, and the page's commands print what it shows."""

import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from gateway.authn import key_entry, key_file
from gateway.process import Process
from gateway.source import Source
from tests.conftest import ROOT
from tests.docs.test_readme import VALUES, furnish, furniture, whole
from tests.house import Upstream, written
from tests.issuer import PEPPER, RsaKey, mint
from tests.minting import Mint
from tests.pages import ADDRESS, SEALED, beside, blocks, entries, fits, laid, printed, sealed
from tests.standins import PROVIDERS, StandIn, reply

__all__ = ["furniture"]

HOWTO = Path("docs/how-to")
SERVICE = "orders.internal:8443"
each_way = pytest.mark.parametrize("way", PROVIDERS)
each_page = pytest.mark.parametrize("name", [way for way in PROVIDERS if ":" not in way])


@dataclass(frozen=True)
class Scene:
    """A gateway with a page's configuration, and who stands behind it, by host."""

    address: str
    key: str
    upstreams: Mapping[str, Upstream]
    folder: Path

    async def typed(self, command: str) -> str:
        return await printed(command, self.address, self.folder, {"KEY": self.key})


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def page(name: str) -> str:
    return (ROOT / HOWTO / f"{name}.md").read_text(encoding="utf-8")


def client(folder: Path, name: str) -> str:
    """A key with every permission that the page's policies name."""
    permissions = sorted(set(re.findall(r'permission: "?([\w:]+)', page(name))))
    key, entry = key_entry.new_entry(
        PEPPER, prefix="lgk", name="me", subject=None, roles=None, permissions=permissions, now=time.time(), expires=None
    )
    (folder / "api-keys.yaml").write_text(key_file.render([entry]))
    return key


def configuration(name: str, word: str, given: Mapping[str, str] | None) -> dict[str, Any]:
    """The first whole configuration of a page, and over it the piece that has this word."""
    file = HOWTO / f"{name}.md"
    found: dict[str, Any] = yaml.safe_load(sealed(whole(file)[0], VALUES["GATEWAY_VAULT_KEY"], given))
    if not word:
        return found
    [piece] = [block for block in blocks(page(name), "yaml")[1:] if word in block and not block.startswith("#")]
    return laid(yaml.safe_load(piece), found)


def certify(folder: Path, authority: trustme.CA) -> None:
    """The files of certificates that pages name."""
    leaf = authority.issue_cert("gateway.example.com")
    authority.cert_pem.write_to_path(str(folder / "mint-ca.pem"))
    authority.cert_pem.write_to_path(str(folder / "certs" / "upstream-ca.crt"))
    (folder / "certs" / "gateway-client.crt").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    (folder / "certs" / "gateway-client.key").write_bytes(leaf.private_key_pem.bytes())


@asynccontextmanager
async def scene(
    folder: Path, furniture: Path, authority: trustme.CA, way: str, given: Mapping[str, str] | None = None
) -> AsyncIterator[Scene]:
    """A page's configuration, running; `given` are other secrets than the stand-ins expect."""
    name, _, word = way.partition(": ")
    provider = PROVIDERS[way]
    environ = furnish(folder, furniture, HOWTO / f"{name}.md") | {"GATEWAY_KEY_PEPPER": PEPPER.decode()}
    identity = mint(RsaKey(), {"iss": "https://cluster.example", "sub": "gateway", "exp": int(time.time()) + 3600})
    (folder / "secrets" / "identity-token").write_text(identity)
    certify(folder, authority)
    key = client(folder, name)
    async with AsyncExitStack() as stack:
        upstreams = {host: await stack.enter_async_context(Upstream(answer=answer)) for host, answer in provider.hosts.items()}
        minting = await stack.enter_async_context(Mint(authority, provider.mint or b"", name="127.0.0.1"))
        service = await stack.enter_async_context(Mint(authority, provider.service or b"", name="127.0.0.1", clients=authority))
        ports = {host: upstream.port for host, upstream in upstreams.items()} | {SERVICE: service.port}
        document = configuration(name, word, given)
        (folder / "config.yaml").write_text(written(beside(document, ports, minting.url(""), folder / "mint-ca.pem")))
        process = Process(Source((folder / "config.yaml",), (), environ))
        await process.start()
        stack.push_async_callback(process.stop)
        host, port = process.address("listen")
        yield Scene(f"http://{host}:{port}", key, upstreams, folder)


async def unquoted(here: Scene, name: str) -> list[str]:
    """What clients get where an API refuses the credential, unless the page quotes it."""
    quoted = re.findall(r"`(\{.*?\})`", page(name))
    found, refusing = [], False
    for host, stand_in in PROVIDERS[name].hosts.items():
        if isinstance(stand_in, StandIn):
            here.upstreams[host].answer = reply(stand_in.refusal, stand_in.refused)
            refusing = True
    for command, shown in entries(page(name)):
        if refusing and "-w" not in command and "urn:latchgate" not in shown:
            output = await here.typed(command)
            found += [output] if not any(fits(part, output) for part in quoted) else []
    return found


@each_way
async def test_the_commands_of_a_page_print_what_it_shows(way: str, tmp_path: Path, furniture: Path, authority: trustme.CA) -> None:
    name, _, word = way.partition(": ")
    typed = entries(page(name))
    async with scene(tmp_path, furniture, authority, way) as here:
        wrong = [(command, output) for command, shown in typed if not fits(shown, output := await here.typed(command))]
        assert wrong == []
        seen = [seen for upstream in here.upstreams.values() for seen in upstream.seen]
        assert all(upstream.seen for upstream in here.upstreams.values()), "an upstream of the page that no command reaches"
        assert here.key not in str(seen)
        assert word or await unquoted(here, name) == []
    assert len(typed) >= 2
    assert any(command.startswith("curl") and ADDRESS in command for command, _ in typed)


async def test_another_secret_would_be_noticed(tmp_path: Path, furniture: Path, authority: trustme.CA) -> None:
    """A guard on the stand-ins."""
    name = "upstream-gitlab"
    command, shown = entries(page(name))[0]
    async with scene(tmp_path, furniture, authority, name, {"gitlab-token": "another-token"}) as here:
        printed = await here.typed(command)
    assert not fits(shown, printed)
    assert json.loads(printed) == {"message": "401 Unauthorized"}


@each_page
def test_a_page_tells_how_to_seal_each_secret_and_what_goes_wrong(name: str) -> None:
    text = page(name)
    sealing = "\n".join(blocks(text, "sh"))
    assert [secret for secret in SEALED.findall(whole(HOWTO / f"{name}.md")[0]) if f"secrets seal {secret} " not in sealing] == []
    assert re.search(r"^## What goes wrong$", text, re.MULTILINE)
    assert f"({name}.md)" in page("providers")


@each_page
def test_a_page_opens_few_paths_with_few_methods(name: str) -> None:
    routes = yaml.safe_load(whole(HOWTO / f"{name}.md")[0])["routes"]
    assert [route["name"] for route in routes if "**" in route["match"]["path"] or "methods" not in route["match"]] == []
