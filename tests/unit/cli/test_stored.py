"""`gateway secrets` on secrets of the database, as an operator uses it."""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import text
from typer.testing import CliRunner, Result

from gateway.cli.secrets import app
from gateway.cli.stored import told
from gateway.core.secret import Secret
from gateway.credentials.stored.drawer import at
from gateway.credentials.stored.resealing import Done
from gateway.credentials.vault.fault import Fault
from gateway.reach import sources
from gateway.settings import load
from gateway.store.sql.rows import Conflict
from gateway.store.sql.secrets import SecretRow
from gateway.store.sql.texts import Text
from tests.storing import KEYS, Beside, ring

VALUE = "hunter2-hunter2-hunter2"
CONFIG = """\
version: 1
vault: {keys: [%s]}
database: {file: store.db}
credentials:
  bot: {inject: bearer, secret: {sealed: bot}}
"""
K1, K2 = "{id: k1, env: VAULT_KEY}", "{id: k2, env: NEXT_KEY}"
T = TypeVar("T")


class Operator:
    """A folder with a configuration that names a database, and commands run in it. What they print never holds a value or a key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys(K1)
        (folder / "env").write_text(f"VAULT_KEY={KEYS['k1']}\nNEXT_KEY={KEYS['k2']}\n")

    def keys(self, *keys: str) -> None:
        (self.folder / "config.yaml").write_text(CONFIG % ", ".join(keys))

    def run(self, command: str, *arguments: str, typed: str = VALUE + "\n", exit_code: int = 0) -> Result:
        options = ["--config", str(self.folder / "config.yaml"), "--env-file", str(self.folder / "env")]
        result = CliRunner().invoke(app, [command, *arguments, *options], input=typed, catch_exceptions=False)
        assert result.exit_code == exit_code, result.output
        assert not [secret for secret in (VALUE, *KEYS.values()) if secret in result.output]
        return result

    def beside(self, work: Callable[[Beside], Awaitable[T]]) -> T:
        async def run() -> T:
            async with Beside(self.folder / "store.db") as beside:
                return await work(beside)

        return asyncio.run(run())

    def opened(self, name: str = "bot") -> bytes:
        loaded = load([self.folder / "config.yaml"], [self.folder / "env"], environ={})
        return loaded.vault(name).current().reveal()

    def rows(self) -> list[list[str]]:
        return [line.split(maxsplit=4) for line in self.run("list").stdout.splitlines()[1:]]


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def test_a_value_is_sealed_into_the_database_and_the_files_stay(operator: Operator) -> None:
    before = (operator.folder / "config.yaml").read_text()
    assert "bot is sealed under the key k1 in the database" in operator.run("seal", "bot", "--database").stderr
    assert operator.opened() == VALUE.encode()
    assert "bot is replaced under the key k1" in operator.run("seal", "bot", "--database", typed="another").stderr
    assert operator.opened() == b"another"
    assert (operator.folder / "config.yaml").read_text() == before
    assert operator.run("verify").stderr == "1 sealed, all in order\n"


def test_the_list_tells_homes_and_what_each_key_seals(operator: Operator) -> None:
    operator.run("seal", "bot", "--database")
    operator.run("seal", "bot2", "--database")
    operator.run("seal", "kept")
    operator.keys(K2, K1)
    operator.run("seal", "bot2", "--database")
    result = operator.run("list")
    assert operator.rows() == [["bot", "database", "k1", "0d", "sealed"], ["bot2", "database", "k2", "0d", "sealed"]]
    assert result.stderr == "key k2: 1 in secrets\nkey k1: 1 in secrets\n"
    [first, _] = json.loads(operator.run("list", "--format", "json").stdout)
    assert first["home"] == "database"


def test_rotation_moves_rows_to_the_first_key_and_names_the_key_that_may_go(operator: Operator) -> None:
    operator.run("seal", "bot", "--database")
    version = operator.beside(lambda beside: beside.rows.versions(["bot"]))
    operator.keys(K2, K1)
    said = operator.run("rotate").stderr
    assert said == "1 sealed anew under the key k2\nnothing in these files and the database is under the key k1 any more\n"
    assert "key k1: nothing, may be retired" in operator.run("list").stderr
    assert operator.run("rotate").stderr.startswith("0 sealed anew")
    assert operator.beside(lambda beside: beside.rows.versions(["bot"])) == version
    operator.keys(K2)
    assert operator.opened() == VALUE.encode()


def test_a_revoked_row_holds_nothing_and_is_told_as_revoked(operator: Operator) -> None:
    operator.run("seal", "bot", "--database")
    sealed = operator.beside(lambda beside: beside.rows.get("bot"))
    assert sealed is not None
    assert "bot is revoked in the database" in operator.run("revoke", "bot").stderr
    assert operator.rows() == [["bot", "database", "-", "0d", "revoked"]]
    assert [str(problem) for problem in operator_problems(operator)][-1].endswith(
        "the secret was revoked (requests that need it are answered 503; seal another: `gateway secrets seal`)"
    )
    held = b"".join(path.read_bytes() for path in operator.folder.glob("store.db*"))
    assert sealed.sealed.encode() not in held
    assert sealed.sealed.rpartition(":")[2].encode() not in held
    assert operator.run("verify").stderr == "0 sealed, all in order\n"


def operator_problems(operator: Operator) -> list[Any]:
    loaded = load([operator.folder / "config.yaml"], [operator.folder / "env"], environ={})
    return [problem for problem in loaded.problems if problem.path.startswith("credentials")]


def test_a_row_that_was_tampered_with_is_told_by_verify_and_kept_by_rotate(operator: Operator) -> None:
    operator.run("seal", "bot", "--database")
    operator.run("seal", "other", "--database")
    operator.beside(lambda beside: beside.database.write(text("UPDATE secrets SET version = version + 1 WHERE name = 'bot'")))
    fix = "see who may write the database; then `gateway secrets seal bot --database --force` with its value"
    assert operator.run("verify", exit_code=1).stderr == f"secrets: bot does not open (altered): {fix}\n"
    operator.keys(K2, K1)
    said = operator.run("rotate", exit_code=1).stderr.splitlines()
    assert said == ["1 sealed anew under the key k2", f"stays as it is: secrets: bot does not open (altered): {fix}"]


@pytest.mark.parametrize(
    ("table", "key", "fault", "fix"),
    [
        ("secrets", ("a b; rm -rf",), Fault.ALTERED, "see who may write the database; then delete the row"),
        ("secrets", ("rotation:bot",), Fault.MALFORMED, "see who may write the database; then delete the row"),
        ("secrets", ("bot",), Fault.UNKNOWN_KEY, "put the key k9 back into `vault.keys`"),
        ("grants", ("hub", "corp", "$(id)"), Fault.UNKNOWN_KEY, "put the key k9 back into `vault.keys`"),
        ("grants", ("hub", "corp", "$(id)"), Fault.ALTERED, "see who may write the database; then `gateway grants revoke`"),
    ],
)
def test_what_does_not_open_is_told_with_the_way_out(table: str, key: tuple[str, ...], fault: Fault, fix: str) -> None:
    line = told(Done(table, Text(key, 7, "lgs1", "k9"), fault=fault))
    of_nobody = told(Done("secrets", Text(("bot",), -2, "", "k9"), fault=Fault.MALFORMED))
    assert of_nobody.endswith("then delete the row"), "no gateway wrote its version: nothing can be written over it"
    assert line.startswith(f"{table}: {' '.join(key)} does not open ({fault}): {fix}")
    assert line.count("\n") == 0


def test_a_secret_is_not_sealed_over_one_that_another_key_of_the_same_id_has_sealed(operator: Operator) -> None:
    operator.run("seal", "bot", "--database")
    env = (operator.folder / "env").read_text()
    (operator.folder / "env").write_text(env.replace(KEYS["k1"], KEYS["k2"]))
    for name, sealed in (
        ("bot", "secrets: bot does not open (altered)"),
        ("other", "nothing that is under the key k1 opens with it"),
    ):
        said = operator.run("seal", name, "--database", typed="another", exit_code=1).stderr
        assert said.startswith(sealed)
        assert "nothing was written" in said
        assert "--force" in said
    for more in ([], ["--dry-run"]):
        said = operator.run("import", "-", "--replace", *more, typed="name,value\nbot,another\n", exit_code=1).stderr
        assert said.startswith("secrets: bot does not open (altered)")
    (operator.folder / "env").write_text(env)
    assert operator.opened() == VALUE.encode()
    assert [row[0] for row in operator.rows()] == ["bot"]


def test_a_row_that_cannot_be_opened_any_more_is_replaced_by_force(operator: Operator) -> None:
    spoil = text("UPDATE secrets SET version = version + 1 WHERE name = 'bot'")
    operator.run("seal", "bot", "--database")
    operator.beside(lambda beside: beside.database.write(spoil))
    assert "bot is replaced" in operator.run("seal", "bot", "--database", "--force").stderr
    operator.beside(lambda beside: beside.database.write(spoil))
    operator.run("import", "-", "--replace", "--force", typed="name,value\nbot,new\n")
    assert operator.opened() == b"new"


def test_nothing_is_sealed_anew_under_another_key_of_the_same_id(operator: Operator) -> None:
    operator.run("seal", "bot", "--database")
    operator.keys(K2, K1)
    operator.run("seal", "other", "--database")
    operator.run("seal", "kept")
    before = (operator.folder / "config.yaml").read_text()
    env = (operator.folder / "env").read_text()
    (operator.folder / "env").write_text(env.replace(KEYS["k2"], base64.b64encode(bytes(range(200, 232))).decode()))
    assert operator.run("rotate", exit_code=1).stderr.startswith(
        "nothing that is under the key k2 opens with it (secrets: other): "
    )
    (operator.folder / "env").write_text(env)
    assert operator.opened() == VALUE.encode()
    assert (operator.folder / "config.yaml").read_text() == before


def test_a_revoked_row_is_sealed_over_without_force(operator: Operator) -> None:
    operator.run("seal", "bot", "--database")
    operator.run("revoke", "bot")
    operator.run("seal", "bot", "--database")
    assert operator.opened() == VALUE.encode()


def test_what_is_overdue_or_ends_is_told(operator: Operator) -> None:
    now = time.time()

    async def write(beside: Beside) -> None:
        sealed = ring().seal(at("bot", 7), Secret(VALUE.encode()))
        old = now - 100 * 86400
        await beside.rows.put(SecretRow("bot", sealed, "k1", created_at=old, updated_at=old, expires_at=now + 5.5 * 86400), 7)

    operator.beside(write)
    assert operator.rows() == [["bot", "database", "k1", "100d", "overdue, expires in 5d"]]


def test_an_entry_of_the_files_that_hides_one_of_the_database_is_told(operator: Operator) -> None:
    hidden = "the database has a secret bot, too: the entry in {} counts, that one is hidden until you take the entry out\n"
    assert "hidden" not in operator.run("seal", "bot").stderr
    operator.run("seal", "bot", "--database")
    assert operator.run("seal", "bot").stderr.endswith(hidden.format(operator.folder / "config.yaml"))
    assert "hidden" not in operator.run("seal", "other").stderr
    assert operator.run("seal", "bot", "--print").stderr == hidden.format("`sealed:`")
    assert operator.run("import", "-", "--to", "config", "--replace", typed="name,value\nbot,x\n").stderr.startswith(
        hidden.format("`sealed:`")
    )


def test_a_secret_is_sealed_into_the_files_while_the_database_is_away(operator: Operator) -> None:
    (operator.folder / "store.db").mkdir()
    told = operator.run("seal", "bot").stderr
    assert "bot is sealed under the key k1" in told
    assert "whether the database has a secret of that name, too, could not be seen" in told


def test_a_database_that_is_not_there_is_one_line(operator: Operator) -> None:
    (operator.folder / "store.db").mkdir()
    assert operator.run("seal", "bot", "--database", exit_code=1).stderr.count("\n") == 1


def test_without_a_database_nothing_is_sealed_into_one(operator: Operator, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text((CONFIG % K1).replace("database: {file: store.db}\n", ""))
    with pytest.raises(Exception, match="no database is configured"):
        operator.run("seal", "bot", "--database")


def written(operator: Operator, text: str) -> str:
    file = operator.folder / "secrets.csv"
    file.write_text(text)
    return str(file)


def test_a_file_is_imported_into_the_database(operator: Operator) -> None:
    file = written(operator, f"name,value,expires_at\nbot,{VALUE},2099-01-01\nother,x,\n")
    assert operator.run("import", file, "--dry-run").stderr == "2 would be sealed under the key k1 into the database\n"
    assert operator.rows() == []
    assert operator.run("import", file).stderr.startswith("2 sealed under the key k1 into the database\n")
    assert operator.opened() == VALUE.encode()
    again = operator.run("import", file, exit_code=1).stderr
    assert again.startswith("line 2: 'bot' is there already: --replace puts this one in its place\nline 3:")
    assert operator.run("import", "-", "--replace", typed="name,value\nbot,new\n").stderr.startswith("1 sealed")
    assert operator.opened() == b"new"


def test_of_a_file_that_is_wrong_nothing_is_taken(operator: Operator) -> None:
    file = written(operator, f"name,value\nbot,{VALUE}\nbot,{VALUE}\n")
    assert operator.run("import", file, exit_code=1).stderr == f"{file}: line 3: 'bot' stands at line 2 already\n"
    assert operator.rows() == []


def test_an_import_is_all_or_nothing_where_somebody_else_writes_meanwhile(operator: Operator) -> None:
    async def write(beside: Beside) -> None:
        rows = [(SecretRow(name, "x", "k1"), 7) for name in ("a", "b")]
        await beside.rows.put(*rows[1])
        with pytest.raises(Conflict):
            await beside.rows.put_all(rows)

    operator.beside(write)
    assert [row[0] for row in operator.rows()] == ["b"]


def test_a_file_is_imported_as_entries_of_the_configuration(operator: Operator) -> None:
    result = operator.run("import", written(operator, f"name,value\nbot,{VALUE}\n"), "--to", "config")
    text = (operator.folder / "config.yaml").read_text()
    (operator.folder / "config.yaml").write_text(text + result.stdout)
    assert operator.opened() == VALUE.encode()
    assert operator.rows() == [["bot", "files", "k1", "0d", "sealed"]]


@pytest.mark.parametrize("key", ["VAULT_KEY", "NOWHERE", "PASSPHRASE"])
def test_what_was_encrypted_elsewhere_is_imported_with_its_key(operator: Operator, key: str) -> None:
    sealed = AESGCM(bytes(range(32))).encrypt(b"n" * 12, VALUE.encode(), None)
    entry = {"encrypted": sealed[:-16].hex(), "iv": (b"n" * 12).hex(), "authTag": sealed[-16:].hex()}
    with (operator.folder / "env").open("a") as file:
        file.write("PASSPHRASE=correct-horse-battery-staple\n")
    good = key == "VAULT_KEY"
    typed = json.dumps({"bot": entry})
    result = operator.run("import", "-", "--key-env", key, typed=typed, exit_code=0 if good else 1)
    assert good or result.stderr.startswith(("the variable NOWHERE is not set", "is no key: 32 bytes"))
    assert not good or operator.opened() == VALUE.encode()


def test_where_used_tells_that_a_secret_lies_in_the_database_and_that_it_was_revoked(operator: Operator) -> None:
    def state() -> str:
        loaded = load([operator.folder / "config.yaml"], [operator.folder / "env"])
        assert loaded.settings is not None
        [made_of] = sources(loaded, loaded.settings, "bot")
        return made_of.state

    operator.run("seal", "bot", "--database")
    assert state() == "in the database"
    operator.run("revoke", "bot")
    assert state() == "revoked"
