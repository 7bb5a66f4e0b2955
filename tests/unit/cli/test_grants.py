"""`gateway grants` and `gateway database` as an operator uses them."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from gateway.cli import database, grants
from gateway.core.errors import ConfigError
from gateway.credentials.grants.refresh import name as lease
from gateway.store.sql.schema import NEWEST
from tests.granting import KEY

CONFIG = """
version: 1
vault: {keys: [{id: k1, env: VAULT_KEY}]}
database: {file: store.db}
providers:
  tracker: {kind: gitlab, client: {id: us, secret: {env: ONLY_THE_GATEWAY_HAS_IT}}}
  pages: {kind: github}
audit: {file: audit.jsonl}
"""


LOGIN = """
authentication:
  login: {staff: {issuer: "https://login.example.com/", client_id: gateway, client_secret: {env: ONLY_THE_GATEWAY_HAS_IT}}}
  jwt: {corp: {issuer: "https://login.example.com/", audience: ["x"], jwks: {discovery: true}, algorithms: [RS256]}}
  sessions: {base_url: "https://gw.example.com", key: {env: ONLY_THE_GATEWAY_HAS_IT}}
"""


class Operator:
    """A folder with a configuration, and commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.config.write_text(CONFIG)
        (folder / "env").write_text(f"VAULT_KEY={KEY}\n")

    def run(self, *arguments: str, exit_code: int = 0, input: str = "", app: typer.Typer = grants.app) -> Result:
        options = ["--config", str(self.config), "--env-file", str(self.folder / "env")]
        result = CliRunner().invoke(app, [*arguments, *options], catch_exceptions=False, input=input)
        assert result.exit_code == exit_code, result.output
        return result

    def add(self, subject: str, *more: str, provider: str = "tracker") -> Result:
        principal = ["--provider", provider, "--issuer", "corp", "--subject", subject]
        return self.run("add", *principal, *more, input="canary-token\n")

    def rows(self) -> list[list[str]]:
        return [line.split() for line in self.run("list").stdout.splitlines()[1:]]

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "audit.jsonl").read_text().splitlines()]


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def test_a_grant_is_kept_listed_and_told_without_its_token(operator: Operator) -> None:
    (operator.folder / "refresh").write_text("canary-refresh\n")
    refresh = str(operator.folder / "refresh")
    result = operator.add("alice", "--refresh-token-file", refresh, "--expires-in", "8h", "--scopes", "read,write")
    assert "new" in result.stderr
    assert "replaced" in operator.add("alice", "--scopes", "read").stderr
    ((provider, issuer, subject, state, expires, key, *scopes),) = operator.rows()
    assert (provider, issuer, subject, state, expires, key, scopes) == ("tracker", "corp", "alice", "live", "never", "k1", ["read"])
    first, second = operator.told()
    assert (first["event"], first["level"]) == ("grant.connected", "info")
    assert [(each["provider"], each["issuer"], each["subject"]) for each in (first, second)] == [("tracker", "corp", "alice")] * 2
    assert (first["replaced"], second["replaced"]) == (False, True)
    assert (first["scopes"], second["scopes"]) == (["read", "write"], ["read"])
    assert second["version"] == first["version"] + 1
    assert first["expires_at"] is not None
    assert first["operator"]
    assert all(b"canary" not in path.read_bytes() for path in operator.folder.iterdir() if path.name != "refresh")


def test_a_grant_for_an_issuer_that_is_not_configured_is_doubted_aloud(operator: Operator) -> None:
    assert (
        "`authentication` knows no issuer 'corp' (none is configured): no request will use this grant"
        in operator.add("alice").stderr
    )
    keys = "authentication: {api_keys: {file: keys.yaml, pepper: {env: ONLY_THE_GATEWAY_HAS_IT}}}\n"
    operator.config.write_text(CONFIG + keys)
    assert "no issuer 'corp' (api_keys)" in operator.add("alice").stderr
    principal = ["--provider", "tracker", "--issuer", "api_keys", "--subject", "alice"]
    assert "warning" not in operator.run("add", *principal, input="t\n").stderr


def test_a_grant_for_people_who_use_those_of_a_login_is_refused_with_what_helps(operator: Operator) -> None:
    connect = "{kind: github, client: {id: us, secret: {env: ONLY_THE_GATEWAY_HAS_IT}}, connect: {same_people: {corp: staff}}}"
    operator.config.write_text(CONFIG.replace("{kind: github}", connect) + LOGIN)
    principal = ["--provider", "pages", "--issuer", "corp", "--subject", "alice"]
    told = operator.run("add", *principal, input="canary-token\n", exit_code=2).stderr
    assert "--issuer staff" in " ".join(told.replace("\u2502", " ").split())
    assert not (operator.folder / "store.db").exists()


def test_one_grant_is_revoked_or_all_of_a_principal_and_nobody_elses(operator: Operator) -> None:
    for subject, provider in (("alice", "tracker"), ("alice", "pages"), ("alice:x", "pages"), ("bob", "tracker"), ("bob", "pages")):
        operator.add(subject, provider=provider)
    operator.run("revoke", "--provider", "pages", "--issuer", "corp", "--subject", "bob")
    assert "pages, tracker for corp:alice;" in operator.run("revoke", "--principal", "corp:alice").stderr
    assert [row[:3] for row in operator.rows()] == [["pages", "corp", "alice:x"], ["tracker", "corp", "bob"]]
    operator.run("revoke", "--principal", "corp:alice:x", "--provider", "pages")
    assert len(operator.rows()) == 1
    told = [(each["event"], each["provider"], each["subject"]) for each in operator.told()[5:]]
    assert told == [("grant.disconnected", provider, subject) for provider, subject in (
        ("pages", "bob"), ("pages", "alice"), ("tracker", "alice"), ("pages", "alice:x"),
    )]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--principal", "corp:nobody"], 1, "corp:nobody has no grant"),
        (["--provider", "tracker", "--issuer", "corp", "--subject", "nobody"], 1, "has no grant at tracker"),
        (["--principal", "alice"], 2, "one principal is ISSUER:ID"),
        (["--principal", "corp:alice", "--subject", "bob"], 2, "one principal is ISSUER:ID"),
        (["--issuer", "corp"], 2, "--principal ISSUER:ID"),
        ([], 2, "--principal ISSUER:ID"),
    ],
    ids=["nobody", "none there", "no issuer", "two principals", "no subject", "nothing said"],
)
def test_a_revocation_of_nothing_is_no_success(operator: Operator, arguments: list[str], code: int, told: str) -> None:
    assert told in operator.run("revoke", *arguments, exit_code=code).stderr
    assert not (operator.folder / "audit.jsonl").exists() or operator.told() == []


@pytest.mark.parametrize("token", ["", "two words", "línea", "a" * 65_537, "line\nline"])
def test_what_is_no_token_is_refused_without_a_word_of_it(operator: Operator, token: str) -> None:
    principal = ["--provider", "tracker", "--issuer", "corp", "--subject", "alice"]
    result = operator.run("add", *principal, input=f"{token}\n", exit_code=2)
    assert "a token is one word of visible ASCII" in " ".join(result.stderr.split())
    assert not token or token not in result.output


@pytest.mark.parametrize(
    "options", [["--provider", "unknown"], ["--provider", "tracker", "--expires-in", "soon"]], ids=["provider", "life"]
)
def test_what_cannot_be_meant_is_a_usage_error(operator: Operator, options: list[str]) -> None:
    operator.run("add", *options, "--issuer", "corp", "--subject", "alice", input="t\n", exit_code=2)


def test_without_a_key_or_a_database_the_fix_is_told(operator: Operator) -> None:
    operator.config.write_text(CONFIG.replace("vault:", "# vault:"))
    with pytest.raises(ConfigError, match="there is no usable key"):
        operator.add("alice")
    operator.config.write_text(CONFIG.replace("database:", "# database:"))
    with pytest.raises(ConfigError, match="no database is configured"):
        operator.add("alice")


def test_a_trail_that_cannot_be_written_keeps_grants_as_they_are(operator: Operator) -> None:
    operator.add("alice")
    (operator.folder / "audit.jsonl").unlink()
    (operator.folder / "audit.jsonl").mkdir()
    result = operator.run("revoke", "--principal", "corp:alice", exit_code=1)
    assert "nothing was changed" in result.stderr
    assert len(operator.rows()) == 1


@pytest.mark.parametrize("vault", ["vault: {keys: [{id: k1, env: LOST_KEY}]}", "# vault:"], ids=["lost", "none"])
def test_a_grant_is_revoked_without_the_key_of_the_vault(operator: Operator, vault: str) -> None:
    operator.add("alice")
    operator.add("alice", provider="pages")
    operator.config.write_text(CONFIG.replace("vault: {keys: [{id: k1, env: VAULT_KEY}]}", vault))
    operator.run("revoke", "--principal", "corp:alice", "--provider", "pages")
    assert "tracker for corp:alice;" in operator.run("revoke", "--principal", "corp:alice").stderr
    assert operator.rows() == []
    assert [(each["event"], each["provider"]) for each in operator.told()[2:]] == [
        ("grant.disconnected", "pages"),
        ("grant.disconnected", "tracker"),
    ]


def test_a_row_that_no_gateway_wrote_keeps_no_other_grant_from_being_revoked(operator: Operator) -> None:
    for provider in ("pages", "tracker"):
        operator.add("alice", provider=provider)
    with sqlite3.connect(operator.folder / "store.db") as file:
        file.execute("UPDATE grants SET version = 'x' WHERE provider = 'pages'")
    file.close()
    operator.run("revoke", "--principal", "corp:alice")
    assert operator.rows() == []


@pytest.mark.parametrize(
    "provider",
    ["printf('aaa%04d', i)", "x'00'", "CAST(x'ff' AS TEXT)", "char(27) || '[2J'"],
    ids=["many", "bytes", "text", "escape"],
)
def test_no_row_beside_it_hides_a_grant_from_who_revokes_all_of_a_principal(operator: Operator, provider: str) -> None:
    for subject in ("alice", "bob"):
        operator.add(subject)
    with sqlite3.connect(operator.folder / "store.db") as file:
        file.execute(
            "INSERT OR IGNORE INTO grants WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) "
            "SELECT PROVIDER, 'corp', 'alice', 'x', 'k1', 1, 'live', '', '', 0, 0, NULL FROM n".replace("PROVIDER", provider)
        )
    file.close()
    told = operator.run("revoke", "--principal", "corp:alice").stderr
    assert "tracker" in told
    assert told.replace("\n", "").isprintable()
    assert [row[:3] for row in operator.rows()] == [["tracker", "corp", "bob"]]
    assert "tracker" in [each["provider"] for each in operator.told()[2:] if each["event"] == "grant.disconnected"]


def test_of_a_revoked_grant_no_lease_tells_whose_it_was(operator: Operator) -> None:
    for subject in ("alice", "bob", "carol"):
        operator.add(subject)
    with sqlite3.connect(operator.folder / "store.db") as file:
        for subject, holder, until in (("alice", "", 0), ("bob", "", 0), ("carol", "busy", 4102444800)):
            name = lease(("tracker", "corp", subject))
            file.execute("INSERT INTO leases (name, holder, fence, orphaned, until) VALUES (?, ?, 1, 0, ?)", (name, holder, until))
    file.close()
    for subject in ("alice", "carol"):
        operator.run("revoke", "--principal", f"corp:{subject}")
    with sqlite3.connect(operator.folder / "store.db") as file:
        left = [name for (name,) in file.execute("SELECT name FROM leases ORDER BY name")]
    file.close()
    assert left == [lease(("tracker", "corp", subject)) for subject in ("bob", "carol")], "who refreshes just now ends by itself"


def test_a_redis_that_is_away_fails_no_revocation(operator: Operator) -> None:
    operator.add("alice")
    operator.config.write_text(CONFIG + f"rate_limits: {{store: {{redis: {{url: 'unix://{operator.folder}/nobody'}}}}}}\n")
    result = operator.run("revoke", "--principal", "corp:alice")
    assert "they notice within a second" in result.stderr
    assert operator.rows() == []


def test_the_database_tells_its_schema_and_is_migrated_once(operator: Operator) -> None:
    for missing in (operator.run("status", app=database.app, exit_code=1), operator.run("list", exit_code=1)):
        assert "store.db does not exist yet: `gateway database migrate` makes it" in missing.stderr
    assert f"migrated from nothing to {NEWEST}" in operator.run("migrate", app=database.app).stderr
    assert f"nothing to do: the schema is {NEWEST}" in operator.run("migrate", app=database.app).stderr
    assert operator.run("status", app=database.app).stdout == f"schema {NEWEST}, this gateway needs {NEWEST}\n"


def test_a_schema_that_a_newer_gateway_made_is_refused_by_name(operator: Operator) -> None:
    operator.run("migrate", app=database.app)
    with sqlite3.connect(operator.folder / "store.db") as file:
        file.execute("UPDATE alembic_version SET version_num = '9999'")
    file.close()
    assert operator.run("status", app=database.app, exit_code=1).stdout.startswith("schema 9999")
    assert "a newer gateway migrated the database" in operator.run("revoke", "--principal", "corp:alice", exit_code=1).stderr
