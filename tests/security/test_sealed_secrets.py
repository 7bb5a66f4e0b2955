"""What somebody could do who may change what is sealed, or read where it lies, and has no key: none of it opens a secret, puts one
secret in another's place, or goes unnoticed."""

import asyncio
import base64
import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli.check import built
from gateway.core.errors import ConfigError
from gateway.core.secret import Secret
from gateway.credentials.vault import text
from gateway.credentials.vault.keys import LocalKey
from gateway.credentials.vault.place import entry
from gateway.credentials.vault.ring import Ring
from gateway.process import Process
from gateway.settings import load
from gateway.source import Source
from tests.house import UPSTREAM_TOKEN, House, house

KEY, OTHER = (base64.b64encode(bytes(range(start, start + 32))).decode() for start in (100, 0))
VAULT = {"keys": [{"id": "k1", "env": "VAULT_KEY"}]}
BOTH_KEYS = {"keys": [{"id": "k2", "env": "SPARE_KEY"}, *VAULT["keys"]]}
ADMIN = "the-admins-secret-Kx83jQ9v"
BOT = {"bot": {"inject": "bearer", "secret": {"sealed": "bot"}}}


def ring(key: str = KEY, id: str = "k1", age: float = 0) -> Ring:
    return Ring([LocalKey(id, Secret(key.encode()))], lambda: time.time() - age)


def sealed(value: str, name: str = "bot", key: str = KEY, age: float = 0) -> str:
    return ring(key, age=age).seal(entry(name), Secret(value.encode()))


def flipped(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


def attacks() -> dict[str, str]:
    """Texts made of good ones without the key."""
    good, other = sealed("the-right-secret"), text.value(sealed("another-secret"))
    value = text.value(good)
    made = {
        "moved from another name": sealed(ADMIN, "admin"),
        "sealed under another key of the same id": sealed("the-attackers-secret", key=OTHER),
        "another key's id": str(replace(value, key_id="k2")),
        "made younger": str(replace(value, sealed_at=value.sealed_at + 1)),
        "made older": str(replace(value, sealed_at=0)),
        "another value's data key": str(replace(value, wrapped=other.wrapped)),
        "another value's nonce": str(replace(value, nonce=other.nonce)),
        "another value's ciphertext": str(replace(value, nonce=other.nonce, ciphertext=other.ciphertext)),
        "cut short": str(replace(value, ciphertext=value.ciphertext[:-1])),
        "only a tag": str(replace(value, ciphertext=value.ciphertext[-16:])),
        "longer": str(replace(value, ciphertext=value.ciphertext + b"\0")),
        "an older version": good.replace("lgs1:", "lgs0:"),
        "a newer version": good.replace("lgs1:", "lgs2:"),
        "of another form": good.replace("lgs1:", "lgd1:"),
        "no encryption at all": "lgs1:k1:0:::" + text.base64url(b"plain"),
        "a second spelling": good + "=",
        "something behind it": good + ":x",
        "plain text": "the-attackers-secret",
        "empty": "",
    }
    for field in ("wrapped", "nonce", "ciphertext"):
        raw = getattr(value, field)
        for at in (0, len(raw) // 2, len(raw) - 1):
            changed: dict[str, Any] = {field: flipped(raw, at)}
            made[f"a bit of {field} at {at}"] = str(replace(value, **changed))
    return made


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def configuration(entry: str, **over: Any) -> str:
    return yaml.safe_dump({"version": 1, "vault": VAULT, "sealed": {"bot": entry}, "credentials": BOT, **over}, sort_keys=False)


@pytest.mark.parametrize("entry", attacks().values(), ids=attacks().keys())
def test_what_was_tampered_with_is_refused_in_its_place(written: Path, entry: str) -> None:
    written.write_text(configuration(entry))
    loaded = load([written], environ={"VAULT_KEY": KEY})
    assert [(problem.line, problem.path) for problem in loaded.errors] == [(7, "sealed.bot")]
    assert not [problem for problem in built(loaded) if "secret" in problem.message and entry in problem.message and entry]


def test_what_was_not_tampered_with_opens(written: Path) -> None:
    """A guard on the tests above."""
    written.write_text(configuration(sealed("the-right-secret")))
    assert load([written], environ={"VAULT_KEY": KEY}).errors == []


@pytest.mark.parametrize(
    "key",
    [None, "", "correct horse battery staple", base64.b64encode(bytes(range(16))).decode(), "0" * 64, OTHER],
    ids=["missing", "empty", "passphrase", "16 bytes", "zeros", "wrong"],
)
async def test_without_the_right_key_nothing_starts(written: Path, key: str | None) -> None:
    written.write_text(configuration(sealed("the-right-secret")))
    environ = {} if key is None else {"VAULT_KEY": key}
    with pytest.raises(ConfigError) as refused:
        await Process(Source((written,), (), environ)).start()
    assert any(problem.path.startswith(("vault.keys[0].env", "sealed.bot")) for problem in refused.value.problems)
    assert not key or key not in str(refused.value)


@pytest.mark.parametrize("name", ["*", "b?t", "[a-z]ot", "bot\n", "../bot", "bot/../admin", "/bot", "BOT", "bot ", "b" * 64])
def test_a_reference_names_one_entry_and_no_pattern(written: Path, name: str) -> None:
    credentials = {"bot": {"inject": "bearer", "secret": {"sealed": name}}}
    written.write_text(configuration(sealed("the-right-secret"), credentials=credentials))
    loaded = load([written], environ={"VAULT_KEY": KEY})
    assert {problem.path.removesuffix(".sealed") for problem in loaded.errors} == {"credentials.bot.secret"}


def test_a_huge_entry_is_refused_unread(written: Path) -> None:
    written.write_text(configuration("lgs1:k1:1:" + "A" * 200_000))
    loaded = load([written], environ={"VAULT_KEY": KEY})
    assert [problem.message for problem in loaded.errors] == ["is longer than anything sealed"]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[House]:
    entries = {"bot": sealed(UPSTREAM_TOKEN), "admin": sealed(ADMIN, "admin", age=91 * 86400)}
    over: dict[str, Any] = {
        "vault": VAULT,
        "sealed": entries,
        "credentials": BOT,
        "admin": {"address": "127.0.0.1:0", "token": {"sealed": "admin"}},
    }
    async with house(tmp_path, environ={"VAULT_KEY": KEY, "SPARE_KEY": OTHER}, **over) as running:
        yield running


async def injected(gateway: House) -> str | None:
    """The status, or what the upstream was shown."""
    gateway.upstream.seen.clear()
    reply = await gateway.get("/admin/x", token=gateway.keys.token())
    return gateway.upstream.seen[0].all("Authorization")[0] if reply.status == 200 else str(reply.status)


def edited(gateway: House, bot: str | None = None, **over: Any) -> None:
    """The configuration on disk with other sections, and with another entry for the credential."""
    document = yaml.safe_load((gateway.folder / "config.yaml").read_text())
    if bot is not None:
        document["sealed"]["bot"] = bot
    gateway.write(document | over)


def rotated() -> dict[str, str]:
    """Both entries under the other key."""
    values = {"bot": UPSTREAM_TOKEN, "admin": ADMIN}
    return {name: ring(OTHER, "k2").seal(entry(name), Secret(value.encode())) for name, value in values.items()}


def shown(gateway: House) -> str:
    return gateway.process.telemetry.metrics.render().decode()


async def test_a_sealed_secret_is_injected_and_requests_under_way_notice_nothing_of_a_rotation(gateway: House) -> None:
    assert await injected(gateway) == f"Bearer {UPSTREAM_TOKEN}"
    done = asyncio.Event()
    statuses = []

    async def ask() -> None:
        while not done.is_set():
            statuses.append((await gateway.get("/admin/x", token=gateway.keys.token())).status)

    asking = asyncio.create_task(ask())
    try:
        for change in ({"vault": BOTH_KEYS, "sealed": rotated()}, {"vault": {"keys": BOTH_KEYS["keys"][:1]}}):
            edited(gateway, **change)
            assert await gateway.process.reload()
    finally:
        done.set()
        await asking
    assert set(statuses) == {200}
    assert {seen.all("Authorization")[0] for seen in gateway.upstream.seen} == {f"Bearer {UPSTREAM_TOKEN}"}


async def test_a_tampered_value_is_refused_by_a_reload_alarmed_and_the_old_one_stays(gateway: House) -> None:
    edited(gateway, bot=sealed(ADMIN, "admin"))
    assert not await gateway.process.reload()
    assert await injected(gateway) == f"Bearer {UPSTREAM_TOKEN}"
    [event] = [event for event in await gateway.events() if event["event"] == "secret.refused"]
    assert (event["entry"], event["fault"], event["level"]) == ("bot", "altered", "error")
    assert 'gateway_vault_refused_total{fault="altered"} 1' in shown(gateway)


async def test_a_revoked_credential_stops_the_requests_that_need_it_and_no_other(gateway: House) -> None:
    edited(gateway, bot="revoked")
    assert await gateway.process.reload()
    assert await injected(gateway) == "503"
    assert gateway.upstream.seen == []
    assert (await gateway.get("/public/x")).status == 200


async def test_neither_value_nor_key_nor_sealed_text_is_shown_to_operators(gateway: House) -> None:
    await injected(gateway)
    edited(gateway, bot=sealed(ADMIN, "admin"))
    await gateway.process.reload()
    paths = ("/config_dump", "/routes", "/readyz?verbose", "/metrics")
    replies = [await gateway.get(path, listener="admin", host="localhost", token=ADMIN) for path in paths]
    assert {reply.status for reply in replies} == {200}
    told = "".join(reply.body.decode() for reply in replies) + str(await gateway.events())
    assert '"vault": {"keys": ["k1"], "sealed": 2, "overdue": 1}'.replace(" ", "") in told.replace(" ", "")
    for secret in (UPSTREAM_TOKEN, KEY, OTHER, ADMIN, "lgs1:"):
        assert secret not in told


async def test_what_is_old_is_counted(gateway: House) -> None:
    async with asyncio.timeout(60):
        while "gateway_vault_overdue 1" not in shown(gateway):
            await asyncio.sleep(0.05)


def test_files_hold_no_plaintext(tmp_path: Path) -> None:
    """The size of a value is all that a text tells of it."""
    value = os.urandom(30).hex()
    texts = {sealed(value) for _ in range(50)}
    assert len(texts) == 50
    assert {len(each) for each in texts} == {len(sealed(value))}
    for form in (value, base64.b64encode(value.encode()).decode().rstrip("="), value.encode().hex()):
        assert not [each for each in texts if form in each]
