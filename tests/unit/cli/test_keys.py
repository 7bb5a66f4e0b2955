"""`gateway keys` as an operator uses it."""

import json
import re
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from gateway.authn import key_file, key_format
from gateway.cli.keys import app
from gateway.core.errors import ConfigError
from tests.issuer import PEPPER

KEY = re.compile(r"lgk_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")
CONFIG = """
version: 1
authentication:
  api_keys: {file: keys.yaml, pepper: {env: PEPPER}}
credentials:
  bot: {inject: bearer, secret: {env: ONLY_THE_GATEWAY_HAS_IT}}
"""


class Operator:
    """A folder with a configuration, and commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "keys.yaml"
        self.config = folder / "config.yaml"
        self.config.write_text(CONFIG)
        self.environment = folder / "env"
        self.environment.write_text(f"PEPPER={PEPPER.decode()}\n")

    def run(self, command: str, *arguments: str, exit_code: int = 0) -> Result:
        options = ["--config", str(self.config), "--env-file", str(self.environment)]
        result = CliRunner().invoke(app, [command, *arguments, *options], catch_exceptions=False)
        assert result.exit_code == exit_code, result.output
        return result

    def create(self, *arguments: str) -> str:
        return self.run("create", "--name", "ci", *arguments).stdout.strip()


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def test_a_key_is_alone_on_standard_output_and_only_its_hash_is_stored(operator: Operator) -> None:
    result = operator.run(
        "create", "--name", "CI job", "--subject", "ci", "--roles", "reader, writer", "--permissions", "a:read", "--expires", "90d"
    )
    key = result.stdout.strip()
    assert KEY.fullmatch(key)
    assert key not in result.stderr
    (entry,) = key_file.load(operator.file)
    assert entry.hash == key_format.digest(PEPPER, key.encode())
    assert (entry.name, entry.subject, entry.roles, entry.permissions) == ("CI job", "ci", ["reader", "writer"], ["a:read"])
    assert entry.expires_at is not None
    assert key not in operator.file.read_text()


def test_printing_stores_nothing_and_gives_an_entry_that_can_be_pasted(operator: Operator) -> None:
    result = operator.run("create", "--name", "ci", "--print")
    assert not operator.file.exists()
    found = KEY.search(result.stderr)
    assert found is not None
    operator.file.write_text(result.stdout)
    (entry,) = key_file.load(operator.file)
    assert entry.hash == key_format.digest(PEPPER, found[0].encode())
    assert yaml.safe_load(result.stdout)[0]["id"] == entry.id


def test_a_list_shows_states_and_no_hashes(operator: Operator) -> None:
    live, revoked = operator.create(), operator.create()
    operator.create("--expires", "0s")
    operator.run("revoke", revoked.split("_")[1])
    table = operator.run("list").stdout
    assert [line.split()[1] for line in table.splitlines()] == ["STATE", "live", "revoked", "expired"]
    shown = json.loads(operator.run("list", "--json").stdout)
    assert [each["state"] for each in shown] == ["live", "revoked", "expired"]
    for text in (table, json.dumps(shown)):
        assert "hmac" not in text
        assert live not in text


def test_an_empty_list_is_a_heading(operator: Operator) -> None:
    assert operator.run("list").stdout.split()[0] == "ID"


def test_a_rotation_gives_a_second_key_and_the_first_an_end(operator: Operator) -> None:
    old = operator.create()
    new = operator.run("rotate", old.split("_")[1], "--overlap", "1h").stdout.strip()
    assert KEY.fullmatch(new)
    first, second = key_file.load(operator.file)
    assert first.expires_at is not None
    assert (second.expires_at, second.subject) == (None, first.subject)


@pytest.mark.parametrize("command", ["revoke", "rotate"])
def test_an_unknown_id_is_exit_1(command: str, operator: Operator) -> None:
    assert "no living key has the id nobody" in operator.run(command, "nobody", exit_code=1).stderr


@pytest.mark.parametrize("arguments", [["--expires", "soon"], ["--expires", "-1d"]], ids=repr)
def test_a_bad_duration_is_a_usage_error(arguments: list[str], operator: Operator) -> None:
    operator.run("create", "--name", "ci", *arguments, exit_code=2)
    assert not operator.file.exists()


def bad(operator: Operator, *arguments: str) -> str:
    with pytest.raises(ConfigError) as caught:
        operator.run(*arguments)
    return str(caught.value)


def test_a_bad_configuration_is_told_with_its_place(operator: Operator) -> None:
    operator.environment.write_text("PEPPER=changeme\n")
    told = bad(operator, "create", "--name", "ci")
    assert f"{operator.config}:4:" in told
    assert "openssl rand" in told
    operator.environment.write_text("")
    assert "PEPPER" in bad(operator, "create", "--name", "ci")
    operator.config.write_text("version: 1\n")
    assert "not configured" in bad(operator, "list")
    operator.config.write_text("version: 2\n")
    assert "version" in bad(operator, "list")


def test_a_malformed_key_file_is_told_with_its_place(operator: Operator) -> None:
    operator.file.write_text("- id: x\n")
    for arguments in (("list",), ("create", "--name", "ci"), ("revoke", "x")):
        assert f"{operator.file}:1:" in bad(operator, *arguments)


def test_a_name_that_cannot_be_shown_is_refused(operator: Operator) -> None:
    assert "name" in bad(operator, "create", "--name", "a\nb")


def test_a_file_that_cannot_be_written_is_exit_1(operator: Operator, tmp_path: Path) -> None:
    operator.config.write_text(CONFIG.replace("keys.yaml", "missing/folder/keys.yaml"))
    assert "No such file" in operator.run("create", "--name", "ci", exit_code=1).stderr


def test_the_group_is_a_typer_application() -> None:
    assert isinstance(app, typer.Typer)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--permissions", "issues"), ("--permissions", "a:b c"), ("--roles", "mem ber"), ("--roles", "a,,b")],
    ids=repr,
)
def test_what_can_never_be_granted_is_refused_before_a_key_is_made(operator: Operator, option: str, value: str) -> None:
    result = operator.run("create", "--name", "ci", option, value, exit_code=2)
    assert not operator.file.exists()
    assert "resource:action" in result.output or "role" in result.output


def test_what_was_done_with_a_key_stands_in_the_trail_without_the_key(operator: Operator) -> None:
    operator.config.write_text(CONFIG + "audit: {file: audit.jsonl}\n")
    (operator.file.parent / "audit.jsonl").write_text('{"torn')
    key = operator.create("--subject", "ci-bot", "--roles", "reader")
    id = key.split("_")[1]
    other = operator.run("rotate", id).stdout.strip()
    operator.run("revoke", other.split("_")[1])
    found = (operator.file.parent / "audit.jsonl").read_text()
    assert found.startswith('{"torn\n')
    assert [each for each in (key, other, "hash") if each in found] == []
    told = [json.loads(line) for line in found.splitlines()[1:]]
    assert [each["event"] for each in told] == ["auth.key.created", "auth.key.rotated", "auth.key.revoked"]
    assert {(each["issuer"], each["subject"]) for each in told} == {("api_keys", "ci-bot")}
    assert told[1]["replaces"] == id
    assert all(each["operator"] for each in told)


def test_a_trail_that_cannot_be_written_keeps_keys_as_they_are(operator: Operator) -> None:
    (operator.file.parent / "audit.jsonl").mkdir()
    operator.config.write_text(CONFIG + "audit: {file: audit.jsonl}\n")
    result = operator.run("create", "--name", "ci", exit_code=1)
    assert "nothing was changed" in result.stderr
    assert not operator.file.exists()
    operator.config.write_text(CONFIG + "audit: {file: audit.jsonl, on_full: drop}\n")
    assert KEY.fullmatch(operator.create())


def test_where_the_trail_is_standard_output_a_command_tells_standard_error(operator: Operator) -> None:
    result = operator.run("create", "--name", "ci")
    assert KEY.fullmatch(result.stdout.strip())
    assert json.loads(result.stderr.splitlines()[-1])["event"] == "auth.key.created"


ROUTES = """
upstreams: {api: {url: "https://api.example.com"}}
routes: [{name: things.read, match: {path: /a}, upstream: api, authenticate: [api_keys]}]
"""
TABLE = "authentication:\n  api_keys: {store: database, pepper: {env: PEPPER}}\ndatabase: {file: keys.db}\n"


@pytest.fixture(params=["file", "database"])
def home(request: pytest.FixtureRequest, operator: Operator) -> Operator:
    """An operator of each home of keys."""
    if request.param == "database":
        operator.config.write_text("version: 1\n" + TABLE + "audit: {file: audit.jsonl}\n" + ROUTES)
    else:
        operator.config.write_text(CONFIG + "audit: {file: audit.jsonl}\n" + ROUTES)
    return operator


def listed(operator: Operator) -> dict[str, dict[str, object]]:
    result = operator.run("list", "--json")
    assert "hmac" not in result.output
    return {each["id"]: each for each in json.loads(result.stdout)}


def test_a_key_is_made_rotated_and_revoked_alike_in_both_homes(home: Operator) -> None:
    scope = ("--routes", "things.*", "--addresses", "10.0.0.0/8,2001:db8::/32", "--description", "for ci")
    old = home.create("--roles", "reader", "--expires", "30d", *scope).split("_")[1]
    new = home.run("rotate", old).stdout.strip().split("_")[1]
    found = listed(home)
    assert [found[id]["state"] for id in (old, new)] == ["replaced", "live"]
    assert (found[old]["replaced_by"], found[new]["replaces"], found[new]["last_used"]) == (new, old, None)
    for name, value in (("routes", ["things.*"]), ("addresses", ["10.0.0.0/8", "2001:db8::/32"]), ("description", "for ci")):
        assert found[old][name] == found[new][name] == value
    assert f"{new} is its successor" in home.run("rotate", old, exit_code=1).stderr
    home.run("revoke", old)
    home.run("revoke", old)
    assert [listed(home)[id]["state"] for id in (old, new)] == ["revoked", "live"]
    assert f"-> {new}" in home.run("list").stdout
    assert "no living key has the id nobody" in home.run("revoke", "nobody", exit_code=1).stderr
    assert "no living key" in home.run("rotate", "\uff11" * 12, exit_code=1).stderr
    told = [json.loads(line) for line in (home.file.parent / "audit.jsonl").read_text().splitlines()]
    assert [each["event"] for each in told][:3] == ["auth.key.created", "auth.key.rotated", "auth.key.revoked"]
    assert told[0]["routes"] == ["things.*"]


@pytest.mark.parametrize("option", [("--routes", "thing"), ("--routes", "other.*")], ids=repr)
def test_a_key_for_no_route_there_is_is_refused(home: Operator, option: tuple[str, str]) -> None:
    assert "means no configured route" in home.run("create", "--name", "ci", *option, exit_code=2).output


def test_an_address_that_is_none_is_refused(home: Operator) -> None:
    assert "addresses" in bad(home, "create", "--name", "ci", "--addresses", "10.0.0.1/8")


def test_keys_of_a_file_are_taken_over_once_and_whole(operator: Operator) -> None:
    first = operator.create("--roles", "reader").split("_")[1]
    assert "in a file already" in operator.run("import", str(operator.file), exit_code=2).output
    operator.config.write_text("version: 1\n" + TABLE)
    assert "1 keys are in the database" in operator.run("import", str(operator.file)).stderr
    assert listed(operator)[first]["roles"] == ["reader"]
    second = operator.create().split("_")[1]
    assert "there already" in operator.run("import", str(operator.file), exit_code=1).stderr
    assert set(listed(operator)) == {first, second}


def test_two_homes_at_once_are_refused(operator: Operator) -> None:
    operator.config.write_text(CONFIG.replace("file: keys.yaml", "store: database, file: keys.yaml"))
    assert "keys lie in one place" in bad(operator, "list")
