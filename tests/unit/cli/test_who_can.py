"""`gateway who-can` and `gateway where-used` as an operator uses them."""

import json
from pathlib import Path

import pytest

from tests.policyhouse import CONFIG, POLICY, furnish
from tests.unit.cli.conftest import Command

CREDENTIALS = "credentials:\n  bot: {inject: bearer, secret: {env: BOT}}\n  idle: {inject: bearer, secret: {env: BOT}}\nupstreams:\n  api: {url: https://api.example.com, credential: bot}\n"
WITH_BOT = CONFIG.replace("upstreams:\n  api: {url: https://api.example.com}\n", CREDENTIALS)
SECRET = "canary-of-the-bot"


@pytest.fixture(autouse=True)
def house(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(folder, config=WITH_BOT)
    monkeypatch.setenv("BOT", SECRET)


def test_where_used_tells_routes_and_secrets(command: Command) -> None:
    code, out, err = command("where-used", "bot")
    assert code == 0
    assert out.splitlines() == [
        "bot   inject bearer",
        "  made of env:BOT   credentials.bot.secret   config.yaml:7",
        "  route notes.list   GET,POST /orgs/{org}/notes on listen   to api (named by the upstream)   config.yaml:12",
        "  route notes.one   GET,DELETE /orgs/{org}/notes/{note} on listen   to api (named by the upstream)   config.yaml:13",
    ]
    assert SECRET not in out + err
    assert command("where-used", "idle")[1].splitlines()[-1] == "  no route has it"


def test_where_used_takes_what_a_credential_is_made_of(command: Command) -> None:
    told = json.loads(command("where-used", "env:BOT", "--json")[1])
    assert [(each["credential"], len(each["used"])) for each in told["credentials"]] == [("bot", 2), ("idle", 0)]


def test_who_can_tells_rule_line_and_binding(command: Command) -> None:
    code, out, _ = command("who-can", "bot")
    assert code == 0
    lines = out.splitlines()
    assert lines[2:8] == [
        "    lets in jwt.corp",
        "    allowed by notes/read-own   policies/notes.yaml:6   GET,HEAD   permission notes:read   if subject.claims.org == resource.params.org",
        "      whoever a token of corp names reader in `roles`   role reader   policies/roles.yaml:7",
        "      whoever a token of corp names writer in `roles`   role writer   policies/roles.yaml:7",
        "      corp:wanda   role writer   policies/roles.yaml:8",
        "    allowed by notes/write-own   policies/notes.yaml:10   POST   permission notes:write   if subject.claims.org == resource.params.org",
    ]
    assert (
        "    denied by notes/blocked   policies/notes.yaml:14   GET,POST,HEAD   if cidr('203.0.113.0/24').containsIP(request.client_ip)"
        in lines
    )


def test_who_can_tells_programs_what_is_certain(command: Command) -> None:
    told = json.loads(command("who-can", "bot", "--json")[1])
    [first, _] = told["credentials"][0]["ways"]
    holders = first["allowed_by"][0]["holders"]
    assert [(each["kind"], each["certain"]) for each in holders] == [("claim", False), ("claim", False), ("subject", True)]


def test_nobody_is_told_as_nobody(folder: Path, command: Command) -> None:
    policy = POLICY.replace("allow: [GET]", "allow: [PUT]").replace("allow: [POST, DELETE]", "allow: [PUT]")
    furnish(folder, config=WITH_BOT, policy=policy)
    assert command("who-can", "bot")[1].splitlines().count("    nobody: no rule allows anything") == 2


def test_an_unknown_name_is_a_mistake_of_usage(command: Command) -> None:
    for name in ("who-can", "where-used"):
        code, _, err = command(name, "bit")
        assert code == 2
        assert "did you mean 'bot'" in err.replace("\n", " ")


def test_a_bad_configuration_is_78(folder: Path, command: Command) -> None:
    (folder / "config.yaml").write_text(WITH_BOT.replace("version: 1", "version: 2"))
    assert (command("who-can", "bot")[0], command("where-used", "bot")[0]) == (78, 78)
