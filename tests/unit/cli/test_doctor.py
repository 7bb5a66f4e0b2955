"""`gateway doctor`: each thing that needs care, found where it is, and nothing where there is nothing."""

import asyncio
import base64
import json
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from sqlalchemy import text

from gateway.authn import key_entry, key_file
from gateway.core.secret import Secret
from gateway.credentials.stored.drawer import Facts
from gateway.doctor import FINDINGS
from gateway.doctor import keys as doctor_keys
from gateway.doctor.custody import TOLD, grants
from gateway.doctor.ending import Calendar, end_of
from gateway.settings import load
from gateway.store.sql.grants import GrantRow
from tests.conftest import ROOT
from tests.issuer import PEPPER as TABLE_PEPPER
from tests.keytable import Table
from tests.policyhouse import CONFIG, POLICY, furnish
from tests.postgres_server import SUPERUSER, PostgresServer
from tests.storing import ENVIRON, Beside
from tests.unit.cli.conftest import Command

TOKEN = "canary-token-of-the-bot-0123456789"
PEPPER = "4bTq9x0ZrVn7sKpW2mLcYhEa8dGfUiOj"
KEY = base64.b64encode(bytes(range(32))).decode()
BASE = {
    "routes:": "rate_limits: {default: [each], rules: {each: {key: client.address, limit: 100/minute}}}\nroutes:",
    "upstreams:\n  api: {url: https://api.example.com}": (
        "credentials:\n  bot: {inject: bearer, secret: {env: BOT}}\nupstreams:\n  api: {url: https://api.example.com, credential: bot}"
    ),
}
SOUND = CONFIG
for old, new in BASE.items():
    SOUND = SOUND.replace(old, new)
SENDER = "header: X-Signature, secrets: [{env: BOT}], subject: hook, replay: 0s"
SIGNATURES = "jwks: {url: 'https://keys.example/keys'}, algorithms: [ed25519, rsa-v1_5-sha256]"
AUTHORITY = trustme.CA().cert_pem.bytes()
RESPONDER = "responder: 'https://ocsp.example/', authorities: ca.pem"
RESOURCES = "resources: {api: {url: 'https://gw.example/api', own_tokens_only: false}}\n"
OFFLINE = """tokens: {issuer: "https://gw.example", key: {env: PEPPER}}
clients: {app: {secret: {env: PEPPER}, grants: [client_credentials], scopes: [offline_access]}}
"""
OPERATORS = "database: {file: accounts.db}\nadmin: {operators: {origin: 'http://localhost:9901', key: {env: PEPPER}, local: {}}}\n"
Found = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture(autouse=True)
def house(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.chmod(0o750)
    for name, value in (("BOT", TOKEN), ("PEPPER", PEPPER), ("KEY", KEY)):
        monkeypatch.setenv(name, value)
    (folder / "ca.pem").write_bytes(AUTHORITY)
    furnish(folder, config=SOUND)


@pytest.fixture
def found(folder: Path, command: Command) -> Found:
    """The findings by their names, of the sound configuration with these words replaced."""

    def look(*changes: tuple[str, str], add: str = "", options: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
        text = SOUND
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        folder.joinpath("config.yaml").write_text(text + add)
        code, out, err = command("doctor", "--json", *options)
        assert code in (0, 1), err
        assert not [secret for secret in (TOKEN, PEPPER, KEY) if secret in out + err]
        told = json.loads(out)
        assert told["ok"] is (code == 0)
        return {each["name"]: each for each in told["findings"]}

    return look


def test_nothing_needs_care(folder: Path, command: Command) -> None:
    assert command("doctor") == (0, "nothing needs care\n", "")


@pytest.mark.parametrize(
    ("before", "after", "name", "severity"),
    [
        (
            "rate_limits: {",
            'rate_limits: {store: {redis: {url: "redis://127.0.0.1:1/0"}}, on_store_failure: open, ',
            "limits-fail-open",
            "warning",
        ),
        ("default: [each], ", "", "no-default-limit", "info"),
        ("version: 1\n", "version: 1\naudit: {on_full: drop}\n", "audit-drops", "warning"),
        ("version: 1\n", 'version: 1\nadmin: {address: "192.0.2.1:9901", token: {env: BOT}}\n', "admin-in-clear", "warning"),
        ("version: 1\n", f"version: 1\ndetection: {{rules: []}}\n{OPERATORS}", "operators-guessed", "warning"),
        (
            "version: 1\n",
            'version: 1\ncors: {app: {origins: ["https://*.example.com"], credentials: true}}\n',
            "cors-wildcard",
            "warning",
        ),
        ("version: 1\n", 'version: 1\ncors: {app: {origins: ["*"]}}\n', "cors-anybody", "info"),
        ("https://api.example.com,", '"http://api.example.com", allow_plaintext: true,', "plaintext", "warning"),
        ("authentication:\n", f"authentication:\n  hmac: {{hook: {{{SENDER}}}}}\n", "replays-taken", "warning"),
        ("authentication:\n", f"authentication:\n  hmac: {{hook: {{{SENDER.replace('0s', '1h')}}}}}\n", "replays-taken", "warning"),
        (
            "authentication:\n",
            f"authentication:\n  hmac: {{hook: {{{SENDER.replace(', replay: 0s', '')}}}}}\n",
            "replays-later",
            "info",
        ),
        (
            "authentication:\n",
            f"authentication:\n  signatures: {{a: {{{SIGNATURES}, replay: allow}}}}\n",
            "replays-taken",
            "warning",
        ),
        ("authentication:\n", f"authentication:\n  signatures: {{a: {{{SIGNATURES}}}}}\n", "weak-signatures", "warning"),
        (
            "authentication:\n",
            f"authentication:\n  mtls: {{ocsp: {{{RESPONDER}, required: false}}}}\n",
            "revocations-waived",
            "warning",
        ),
        ("version: 1\n", f"version: 1\n{RESOURCES}", "shared-tokens", "warning"),
        ("version: 1\n", f"version: 1\n{OFFLINE}", "outlives-logins", "info"),
        ("version: 1\n", f"version: 1\n{OFFLINE}", "tokens-in-memory", "info"),
        ("version: 1\n", f"version: 1\n{OFFLINE.replace('PEPPER}}', 'PEPPER}, lifetime: 3h}', 1)}", "long-tokens", "info"),
        (
            "authentication:\n",
            f"{OFFLINE}authentication:\n  sessions: {{base_url: 'https://gw.example', key: {{env: PEPPER}}}}\n",
            "shared-key",
            "warning",
        ),
        ("credential: bot}", "credential: bot, scrub: {bodies: false}}", "scrub-off", "warning"),
        ("credential: bot}", "credential: bot, scrub: {encoded: pass}}", "scrub-partial", "info"),
        ("credential: bot}", "credential: bot, cookies: pass}", "shared-cookies", "warning"),
        (
            "{inject: bearer, secret: {env: BOT}}",
            "{inject: sigv4, region: r, service: s3, access_key_id: A, secret_access_key: {env: BOT}, unsigned_payload: true}",
            "unsigned-payload",
            "warning",
        ),
        (
            "bearer, secret: {env: BOT}}\n",
            "bearer, secret: {env: BOT}}\n  idle: {inject: bearer, secret: {env: BOT}}\n",
            "check",
            "warning",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.islower() and len(value) < 20 else "",
)
def test_settings_that_let_through_more_than_they_need(found: Found, before: str, after: str, name: str, severity: str) -> None:
    told = found((before, after), options=("--offline",))
    assert told[name]["severity"] == severity
    assert told[name]["line"] > 0
    assert told[name]["hint"] or name == "check"


def test_plaintext_on_this_machine_is_nobodys_business(found: Found) -> None:
    local = ("https://api.example.com,", '"http://127.0.0.1:9000", allow_plaintext: true, allow_private: true,')
    assert found(local) == {}


@pytest.mark.parametrize(
    ("host", "told"), [("127.0.0.1:9", 0), ("localhost", 0), ("idp.example.com", 1), ("localhost.example.com", 1)]
)
def test_a_token_endpoint_on_this_machine_is_nobodys_business_either(found: Found, host: str, told: int) -> None:
    bot = (
        "bot: {inject: bearer, secret: {env: BOT}}",
        (
            f"bot: {{inject: client_credentials, token_url: 'http://{host}/token', client: {{id: us, secret: {{env: BOT}}}}, "
            "dial: {allow_plaintext: true, allow_private: true}}"
        ),
    )
    assert list(found(bot)) == ["plaintext"] * told


def test_a_deny_in_shadow_mode_is_told_at_its_line(folder: Path, found: Found) -> None:
    furnish(folder, policy=POLICY.replace("    deny: any\n", "    deny: any\n    mode: shadow\n"), tests="")
    (folder / "policies" / "notes_test.yaml").unlink()
    told = found()["shadow-deny"]
    assert (told["line"], told["file"]) == (14, "policies/notes.yaml")


@pytest.mark.parametrize(("days", "severity"), [(-3, "error"), (10, "warning"), (90, None)])
def test_certificates_are_told_before_they_end(folder: Path, found: Found, days: int, severity: str | None) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("gw.example", not_after=datetime.now(UTC) + timedelta(days=days, hours=1))
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
    (folder / "key.pem").chmod(0o600)
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    tls = ("credential: bot}", "credential: bot, tls: {client_certificate: cert.pem, client_key: {file: key.pem}}}")
    told = found(tls, options=("--offline",))
    assert told.get("certificate-ends", {}).get("severity") == severity
    if severity is not None:
        assert ("ended" if days < 0 else f"in {days} days") in told["certificate-ends"]["message"]
        assert told["certificate-ends"]["path"] == "upstreams.api.tls.client_certificate"
    assert "certificate-ends" not in found(tls, options=("--offline", "--days", "0")) or days < 0


def test_a_secret_that_says_when_it_ends_is_told_without_a_word_of_it(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    payload = base64.urlsafe_b64encode(json.dumps({"exp": int(time.time()) + 5 * 86400 + 60}).encode()).rstrip(b"=").decode()
    token = f"eyJhbGciOiJub25lIn0.{payload}.c2lnbmF0dXJl"
    monkeypatch.setenv("BOT", token)
    told = found(options=("--offline",))["secret-ends"]
    assert (told["message"], told["path"]) == ("the secret ends in 5 days", "credentials.bot.secret")
    assert payload not in json.dumps(told)


@pytest.mark.parametrize(
    ("secret", "end"),
    [
        (b'{"Expiration": "2026-11-22T00:00:00Z"}', 1795305600.0),
        (b'{"Expiration": "soon"}', None),
        (b'{"Expiration": 7}', None),
        (b"a.b.c", None),
        (b"..", None),
        (b"a." + base64.urlsafe_b64encode(b'{"exp": true}') + b".c", None),
        (b"a." + base64.urlsafe_b64encode(b"[" * 100_000) + b".c", None),
        (b"{" * 10, None),
        (b"\xff\xfe", None),
    ],
)
def test_what_looks_like_a_date_and_is_none_ends_never(secret: bytes, end: float | None) -> None:
    assert end_of(secret) == end


def test_keys_that_end_are_told_and_those_that_ended_are_not(folder: Path, found: Found) -> None:
    for days in (5, 300):
        _, entry = key_entry.new_entry(PEPPER.encode(), prefix="lgk", name=f"d{days}", now=time.time(), expires=days * 86400 + 60)
        key_file.add(folder / "keys.yaml", entry)
    _, past = key_entry.new_entry(PEPPER.encode(), prefix="lgk", name="past", now=time.time() - 100, expires=5)
    key_file.add(folder / "keys.yaml", past)
    keys = ("jwt:\n", "api_keys: {file: keys.yaml, pepper: {env: PEPPER}}\n  jwt:\n")
    routes = ("authenticate: [jwt.corp]", "authenticate: [jwt.corp, api_keys]")
    assert "(d5) ends in 5 days" in found(keys, routes)["key-ends"]["message"]
    (folder / "keys.yaml").chmod(0o644)
    assert found(keys, routes)["readable-file"]["path"] == "authentication.api_keys.file"


def test_files_that_everybody_may_write_are_told(folder: Path, found: Found) -> None:
    (folder / "policies" / "roles.yaml").chmod(0o666)
    told = found(options=("--offline",))["writable-file"]
    assert (told["severity"], "roles.yaml" in told["message"]) == ("error", True)


def test_a_file_of_variables_that_everybody_may_read_is_told(folder: Path, found: Found) -> None:
    (folder / "env").write_text("OTHER=1\n")
    (folder / "env").chmod(0o644)
    assert "env is readable by everybody" in found(options=("--offline", "--env-file", "env"))["readable-file"]["message"]


def test_a_key_that_opens_nothing_any_more_is_told(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLD", base64.b64encode(bytes(range(50, 82))).decode())
    keys = "vault: {keys: [{id: new, env: KEY}, {id: old, env: OLD}]}\n"
    told = found(add=keys)["idle-key"]
    assert (told["path"], told["hint"]) == ("vault.keys[1]", "take it out and destroy it")


@pytest.mark.parametrize("captured", ["{inject: captured}", "{inject: captured_keys, regions: [eu-west-1], services: [s3]}"])
def test_a_key_that_placeholders_may_lie_under_is_not_to_be_destroyed_yet(
    found: Found, monkeypatch: pytest.MonkeyPatch, captured: str
) -> None:
    monkeypatch.setenv("OLD", base64.b64encode(bytes(range(50, 82))).decode())
    keys = "vault: {keys: [{id: new, env: KEY}, {id: old, env: OLD}]}\n"
    hint = found(("credentials:", f"credentials:\n  minted: {captured}"), add=keys)["idle-key"]["hint"]
    assert hint == "take it out and destroy it, once the placeholders made under it have ended"


def stored(folder: Path, work: Callable[[Beside], Awaitable[None]], *ids: str) -> None:
    async def run() -> None:
        async with Beside(folder / "store.db", *ids) as beside:
            await work(beside)

    asyncio.run(run())


STORED = ("{env: BOT}", "{sealed: bot}")


@pytest.mark.parametrize(
    ("days", "severity", "said"),
    [
        (-3, "error", "ended 3 days ago"),
        (5, "warning", "ends in 5 days"),
        (0, "warning", "ends within a day"),
        (-0.5, "error", "ended within the last day"),
        (90, None, ""),
    ],
)
def test_a_secret_of_the_database_is_told_before_it_ends(
    folder: Path, found: Found, monkeypatch: pytest.MonkeyPatch, days: float, severity: str | None, said: str
) -> None:
    monkeypatch.setenv("VAULT_KEY", ENVIRON["VAULT_KEY"])
    ends = time.time() + days * 86400 + (60 if days >= 0 else -60)
    stored(folder, lambda beside: kept(beside, Facts(expires_at=ends)))
    told = found(STORED, add="vault: {keys: [{id: k1, env: VAULT_KEY}]}\ndatabase: {file: store.db}\n")
    assert list(told) == (["secret-ends"] if severity else [])
    if severity is not None:
        ending = told["secret-ends"]
        assert (ending["severity"], ending["path"], said in ending["message"]) == (severity, "credentials.bot.secret", True)
        assert ending["hint"] == "`gateway secrets seal bot --database` with a new one"


async def kept(beside: Beside, facts: Facts) -> None:
    await beside.drawer.put("bot", Secret(TOKEN.encode()), facts)


def test_a_key_that_opens_nothing_in_the_database_either_is_told(
    folder: Path, found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, key in ENVIRON.items():
        monkeypatch.setenv(name, key)
    keys = "vault: {keys: [{id: k2, env: NEXT_KEY}, {id: k1, env: VAULT_KEY}]}\ndatabase: {file: store.db}\n"
    assert found(add=keys)["idle-key"]["path"] == "vault.keys[1]", "before the first start"
    stored(folder, lambda beside: kept(beside, Facts()), "k1")
    assert found(STORED, add=keys) == {}
    stored(folder, lambda beside: kept(beside, Facts()), "k2")
    assert found(STORED, add=keys)["idle-key"]["path"] == "vault.keys[1]"


def test_what_lies_in_the_database_under_its_key_for_too_long_is_told(
    folder: Path, found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_KEY", ENVIRON["VAULT_KEY"])

    async def age(beside: Beside) -> None:
        await kept(beside, Facts())
        await beside.database.write(text("UPDATE secrets SET updated_at = updated_at - 91 * 86400"))

    stored(folder, age)
    told = found(STORED, add="vault: {keys: [{id: k1, env: VAULT_KEY}]}\ndatabase: {file: store.db}\n")
    assert list(told) == ["sealing-overdue"]
    overdue = told["sealing-overdue"]
    assert (overdue["severity"], overdue["path"]) == ("warning", "vault")
    assert overdue["message"] == "sealed more than 90 days ago: 1 in secrets"


def test_what_does_not_answer_is_told_in_bounded_time(found: Found) -> None:
    gone = 'database: {url: "postgresql://127.0.0.1:1/none", username: gw, allow_plaintext: true}\n'
    assert found(add=gone)["unreachable"]["path"] == "database"
    assert "unreachable" not in found(add=gone, options=("--offline",))
    transit = "vault: {keys: [{id: t, transit: {url: 'http://127.0.0.1:1', key: k, token: {env: BOT}, allow_private: true, allow_plaintext: true}}]}\n"
    assert found(add=transit)["unreachable"]["path"] == "vault.keys[0]"


def test_a_role_that_owns_the_server_is_told(found: Found, postgres_server: PostgresServer) -> None:
    url = postgres_server.url(postgres_server.database())
    told = found(add=f'database: {{url: "{url}", username: {SUPERUSER}, allow_plaintext: true}}\n')
    assert told["superuser"]["path"] == "database.username"
    assert told["wrong-schema"]["hint"] == "`gateway database migrate`"


def test_broken_grants_are_told_by_name_while_they_are_few(folder: Path) -> None:
    client = "providers:\n  hub: {kind: github}\n  lab: {kind: gitlab, client: {id: i, secret: {env: BOT}}}\n"
    (folder / "config.yaml").write_text(SOUND + client)
    loaded = load([folder / "config.yaml"])
    assert loaded.settings is not None
    now = time.time()
    rows = [
        GrantRow("lab", "corp", f"u{number}", "sealed", "k", state="broken", problem="invalid_grant") for number in range(TOLD + 3)
    ]
    rows += [
        GrantRow("hub", "corp", "ends", "sealed", "k", expires_at=now - 3.5 * 86400),
        GrantRow("hub", "corp", "soon", "sealed", "k", expires_at=now + 5.5 * 86400),
        GrantRow("lab", "corp", "renewed", "sealed", "k", expires_at=now - 3.5 * 86400),
    ]
    told = [(problem.rule, problem.message) for problem in grants(loaded, loaded.settings, rows, now, 30 * 86400.0)]
    assert told[0] == ("grant-broken", "the grant of corp:u0 at lab is broken: invalid_grant")
    assert told[-1] == ("grant-broken", "and 3 more")
    assert [message for rule, message in told if rule == "grant-ends"] == [
        "the grant of corp:ends at hub ended 3 days ago, and nothing refreshes it",
        "the grant of corp:soon at hub ends in 5 days, and nothing refreshes it",
    ]


def test_findings_can_be_left_out_by_name(found: Found) -> None:
    drop = ("version: 1\n", "version: 1\naudit: {on_full: drop}\n")
    assert found(drop, options=("--ignore", "audit-drops")) == {}


def test_a_name_that_no_finding_has_is_refused_with_those_there_are(command: Command) -> None:
    code, out, err = command("doctor", "--ignore", "audit-drop")
    told = " ".join(err.replace("\u2502", " ").split())
    assert (code, out) == (2, "")
    assert "no finding is called 'audit-drop': did you mean 'audit-drops'?" in told
    code, _, err = command("doctor", "--ignore", "zzz")
    assert code == 2
    assert all(name in err for name in ("check", "audit-drops", "idle-key", "grant-ends", "uncovered-route"))


def test_the_gravest_comes_first_and_terminals_are_safe(folder: Path, command: Command) -> None:
    (folder / "config.yaml").write_text(
        SOUND.replace("version: 1\n", "version: 1\naudit: {on_full: drop}\n").replace("default: [each], ", "")
    )
    (folder / "config.yaml").chmod(0o666)
    code, out, _ = command("doctor", "--offline")
    grades = [line.split()[0] for line in out.splitlines() if line[0] != " "]
    assert (code, grades[:-1]) == (1, ["ACT", "CARE", "CARE", "note"])
    assert out.splitlines()[-1] == "1 to act on, 2 to take care of, 1 to know"


def test_a_bad_configuration_is_78(folder: Path, command: Command) -> None:
    (folder / "config.yaml").write_text(SOUND.replace("{env: BOT}", "{env: NONE}"))
    assert command("doctor")[0] == 78


def test_every_name_of_a_finding_is_known_and_explained() -> None:
    sources = "".join(file.read_text() for file in (ROOT / "gateway" / "doctor").glob("*.py"))
    told = set(re.findall(r'(?:named|found|told)\(\s*"([a-z-]+)"', sources)) | set(re.findall(r'kind, hint = "([a-z-]+)"', sources))
    assert told | {"check"} == FINDINGS
    page = (ROOT / "docs" / "how-to" / "look-after-credentials.md").read_text()
    assert [name for name in FINDINGS if f"`{name}`" not in page] == []


async def test_keys_of_the_database_that_idle_never_end_or_were_altered_are_told(folder: Path, tmp_path: Path) -> None:
    async with Table(tmp_path / "told.db") as table:
        day = 86400.0
        ages = {"idle": 100, "fresh": 5, "used": 100}
        made = {name: await table.create(name=name, now=table.clock.now() - days * day) for name, days in ages.items()}
        _, ending = await table.create(name="ending", expires=3 * day)
        await table.rows.touch([made["used"][1]], table.clock.now() - day, 60.0)
        _, altered = await table.create(name="altered")
        await table.sql("UPDATE api_keys SET version = version + 1 WHERE id = :id", id=altered)
        config = SOUND.replace("  jwt:\n", "  api_keys: {store: database, pepper: {env: TABLE_PEPPER}}\n  jwt:\n", 1)
        (folder / "config.yaml").write_text(config + "database: {file: told.db}\n")
        loaded = load([folder / "config.yaml"], environ={"TABLE_PEPPER": TABLE_PEPPER.decode(), "BOT": TOKEN})
        assert loaded.settings is not None
        found = Calendar(loaded, table.clock.now(), 30 * day)
        told = await doctor_keys.stored(loaded, loaded.settings, table.database, found, table.clock.now())
        assert {each.rule: each.severity for each in told} == {
            "key-altered": "error",
            "key-unused": "warning",
            "key-ends": "warning",
            "key-endless": "info",
        }
        said = {each.rule: each.message for each in told}
        assert altered in said["key-altered"]
        assert "(idle) was not used for 100 days" in said["key-unused"]
        assert ending in said["key-ends"]
        assert "3 API keys never end" in said["key-endless"]
