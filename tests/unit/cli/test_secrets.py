"""`gateway secrets` as an operator uses it."""

import base64
import json
import time
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from gateway.cli.secrets import app
from gateway.core.errors import ConfigError
from gateway.core.secret import Secret
from gateway.credentials.vault.keys import LocalKey, parse
from gateway.credentials.vault.place import entry
from gateway.credentials.vault.ring import Ring
from gateway.settings import load

KEYS = {"new": base64.b64encode(bytes(range(100, 132))).decode(), "old": base64.b64encode(bytes(range(32))).decode()}
VALUE = "hunter2-hunter2-hunter2"
CONFIG = """\
# what is ours
version: 1
vault: {keys: [{id: old, env: OLD}]}   # the keys
credentials:
  bot: {inject: bearer, secret: {sealed: bot}}  # the bot
"""


def sealed(name: str, *, key: str = "old", age: float = 0) -> str:
    ring = Ring([LocalKey(key, Secret(KEYS[key].encode()))], lambda: time.time() - age)
    return ring.seal(entry(name), Secret(VALUE.encode()))


class Operator:
    """A folder with a configuration, and commands run in it. What they print never holds a value or a key."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "config.yaml"
        self.config.write_text(CONFIG)
        self.environment = folder / "env"
        self.environment.write_text("".join(f"{name.upper()}={key}\n" for name, key in KEYS.items()))

    def run(self, command: str, *arguments: str, typed: str = VALUE + "\n", exit_code: int = 0) -> Result:
        options = ["--config", str(self.config), "--env-file", str(self.environment)]
        result = CliRunner().invoke(app, [command, *arguments, *options], input=typed, catch_exceptions=False)
        assert result.exit_code == exit_code, result.output
        assert not [secret for secret in (VALUE, *KEYS.values()) if secret in result.output]
        return result

    def rewrite(self, text: str) -> None:
        self.config.write_text(text)

    def opened(self, name: str) -> bytes:
        loaded = load([self.config], [self.environment], environ={})
        return loaded.vault(name).current().reveal()


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def test_a_key_is_alone_on_standard_output_and_is_one() -> None:
    made = [CliRunner().invoke(app, ["key"]) for _ in range(2)]
    keys = {result.stdout.strip() for result in made}
    assert len(keys) == 2
    assert all(len(parse(Secret(key.encode()))) == 32 for key in keys)
    assert all(key not in result.stderr for key in keys for result in made)


def test_a_value_from_standard_input_is_sealed_into_the_file_and_the_rest_stays(operator: Operator) -> None:
    operator.config.chmod(0o640)
    result = operator.run("seal", "bot")
    assert "bot is sealed under the key old" in result.stderr
    text = operator.config.read_text()
    assert text.startswith(CONFIG + "\nsealed:\n  bot: lgs1:old:")
    assert VALUE not in text
    assert operator.config.stat().st_mode & 0o777 == 0o640
    assert operator.opened("bot") == VALUE.encode()


def test_sealing_again_replaces_the_value(operator: Operator) -> None:
    operator.run("seal", "bot")
    operator.run("seal", "other")
    operator.run("seal", "bot", typed="another value\r\n")
    assert operator.opened("bot") == b"another value"
    assert operator.opened("other") == VALUE.encode()
    assert operator.config.read_text().count("lgs1:") == 2


def test_what_was_sealed_can_be_printed_instead(operator: Operator) -> None:
    result = operator.run("seal", "bot", "--print")
    assert operator.config.read_text() == CONFIG
    operator.rewrite(f"{CONFIG}sealed: {{bot: '{result.stdout.strip()}'}}\n")
    assert operator.opened("bot") == VALUE.encode()


def test_another_file_may_be_named_and_an_entry_is_changed_where_it_stands(operator: Operator, tmp_path: Path) -> None:
    overlay = tmp_path / "secrets.yaml"
    overlay.write_text("# sealed\n")
    operator.run("seal", "bot", "--into", str(overlay))
    assert overlay.read_text().startswith("# sealed\n\nsealed:\n  bot: lgs1:")
    operator.run("revoke", "bot", "--config", str(overlay))
    assert yaml.safe_load(overlay.read_text()) == {"sealed": {"bot": "revoked"}}
    assert operator.config.read_text() == CONFIG


@pytest.mark.parametrize("typed", ["", "\n", "x" * 65_537], ids=["nothing", "line break", "too long"])
def test_no_value_or_too_long_a_one_is_not_sealed(operator: Operator, typed: str) -> None:
    result = operator.run("seal", "bot", typed=typed, exit_code=1)
    assert "at least 1 byte and at most 64 KiB" in result.stderr
    assert operator.config.read_text() == CONFIG


@pytest.mark.parametrize("name", ["*", "../x", "a b", "", "x" * 64, "-x"])
def test_a_name_is_one_plain_name(operator: Operator, name: str) -> None:
    options = ["--config", str(operator.config), "--", name]
    assert CliRunner().invoke(app, ["seal", *options], input=VALUE).exit_code == 2
    assert operator.config.read_text() == CONFIG


def test_a_value_cannot_be_an_argument(operator: Operator) -> None:
    assert CliRunner().invoke(app, ["seal", "bot", VALUE]).exit_code == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version: 1\n", "no key seals anything (add `vault: {keys: [{id: …, env: …}]}`; `gateway secrets key` makes a key)"),
        ("version: 1\nvault: {keys: [{id: a, env: NOWHERE}]}\n", "vault.keys[0].env: the variable NOWHERE is not set"),
        ("version: 1\nvault: {keys: []}\n", "vault.keys: must not be empty"),
        ("version: ]\n", "not YAML"),
    ],
)
def test_without_a_usable_key_nothing_is_sealed(operator: Operator, text: str, told: str) -> None:
    operator.rewrite(text)
    with pytest.raises(ConfigError) as refused:
        operator.run("seal", "bot")
    assert told in str(refused.value)
    assert operator.config.read_text() == text


def test_a_file_that_cannot_be_edited_is_told_and_stays(operator: Operator) -> None:
    text = CONFIG + "sealed:\n  bot: >-\n    lgs1:old:1:A:B\n"
    operator.rewrite(text)
    assert "put this below `sealed:` by hand: bot: lgs1:old:" in operator.run("seal", "bot", exit_code=1).stderr
    assert operator.config.read_text() == text


def test_a_file_that_is_not_there_is_told(operator: Operator, tmp_path: Path) -> None:
    result = operator.run("seal", "bot", "--into", str(tmp_path / "nowhere.yaml"), exit_code=1)
    assert "nowhere.yaml: No such file or directory" in result.stderr


def test_the_list_tells_names_keys_ages_and_states_and_never_a_value(operator: Operator) -> None:
    entries = {"fresh": sealed("fresh"), "aged": sealed("aged", age=100 * 86400), "moved": sealed("fresh"), "gone": "revoked"}
    operator.rewrite(CONFIG + "sealed:\n" + "".join(f"  {name}: {text}\n" for name, text in entries.items()))
    lines = [line.split(maxsplit=4) for line in operator.run("list").stdout.splitlines()]
    assert lines == [
        ["NAME", "HOME", "KEY", "AGE", "STATE"],
        ["fresh", "files", "old", "0d", "sealed"],
        ["aged", "files", "old", "100d", "overdue"],
        ["moved", "files", "old", "0d", "does not open"],
        ["gone", "files", "-", "-", "revoked"],
    ]
    rows = json.loads(operator.run("list", "--format", "json").stdout)
    assert [(row["name"], row["key"], row["state"]) for row in rows][2:] == [
        ("moved", "old", "does not open"),
        ("gone", None, "revoked"),
    ]


def test_the_list_needs_no_key(operator: Operator) -> None:
    operator.rewrite(CONFIG.replace("env: OLD", "env: NOWHERE") + f"sealed: {{bot: {sealed('bot')}}}\n")
    assert operator.run("list").stdout.splitlines()[1].split(maxsplit=4) == ["bot", "files", "old", "0d", "does not open"]


def test_verify_opens_everything(operator: Operator) -> None:
    operator.run("seal", "bot")
    assert operator.run("verify").stderr == "1 sealed, all in order\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{CONFIG}sealed: {{bot: {sealed('other')}}}\n", "sealed.bot: does not open: the key is another one"),
        (f"{CONFIG}sealed: {{bot: {sealed('bot', key='new')}}}\n", "under the key 'new', which the ring does not have: old"),
        (f"{CONFIG}sealed: {{bot: text}}\n", "bot does not open"),
        (CONFIG.replace("env: OLD", "env: NOWHERE"), "vault.keys[0].env: the variable NOWHERE is not set"),
    ],
    ids=["moved", "unknown key", "not sealed", "no key"],
)
def test_verify_fails_where_something_does_not_open(operator: Operator, text: str, told: str) -> None:
    operator.rewrite(text)
    assert told in operator.run("verify", exit_code=1).stderr


def test_rotate_seals_what_is_old_under_the_first_key_and_names_keys_that_may_go(operator: Operator) -> None:
    operator.run("seal", "bot")
    operator.run("seal", "other")
    operator.rewrite(operator.config.read_text().replace("[{id: old", "[{id: new, env: NEW}, {id: old"))
    operator.run("seal", "third")
    before = operator.config.read_text()
    told = operator.run("rotate").stderr
    assert told == "2 sealed anew under the key new\nnothing in these files is under the key old any more\n"
    after = operator.config.read_text()
    assert "lgs1:old:" not in after
    assert [line for line in after.splitlines() if "lgs1" not in line] == [
        line for line in before.splitlines() if "lgs1" not in line
    ]
    operator.rewrite(after.replace(", {id: old, env: OLD}", ""))
    assert {operator.opened(name) for name in ("bot", "other", "third")} == {VALUE.encode()}
    assert operator.run("rotate").stderr == "0 sealed anew under the key new\n"


def test_rotate_leaves_what_does_not_open_and_what_is_revoked(operator: Operator) -> None:
    entries = f"sealed:\n  bot: {sealed('bot')}\n  moved: {sealed('bot')}\n  gone: revoked\n"
    operator.rewrite(CONFIG.replace("[{id: old", "[{id: new, env: NEW}, {id: old") + entries)
    told = operator.run("rotate", exit_code=1).stderr
    assert told == "1 sealed anew under the key new\nstays as it is: moved does not open: see `gateway secrets verify`\n"
    assert entries.splitlines()[2] in operator.config.read_text()
    assert "gone: revoked" in operator.config.read_text()


def test_rotate_says_that_the_writing_key_itself_is_old(operator: Operator) -> None:
    operator.rewrite(f"{CONFIG}sealed: {{bot: {sealed('bot', age=100 * 86400)}}}\n")
    assert "under old for too long: bot; put a new key in front of it" in operator.run("rotate").stderr


def test_a_revoked_value_is_gone_from_the_file(operator: Operator) -> None:
    operator.run("seal", "bot")
    told = operator.run("revoke", "bot").stderr
    assert "reload the gateway, and revoke the secret where it was issued" in told
    assert operator.config.read_text() == f"{CONFIG}\nsealed:\n  bot: revoked\n"
    operator.run("verify")
    operator.run("seal", "bot")
    assert operator.opened("bot") == VALUE.encode()


def test_what_is_not_sealed_cannot_be_revoked(operator: Operator) -> None:
    assert "nothing is sealed under the name nobody" in operator.run("revoke", "nobody", exit_code=1).stderr
    assert operator.config.read_text() == CONFIG
