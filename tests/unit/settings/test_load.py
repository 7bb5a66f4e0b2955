"""A configuration loaded whole: from its files to settings or to every problem at once."""

from pathlib import Path
from typing import Any

import pytest

from gateway.credentials.model import Bearer
from gateway.settings import Loaded, find, load

SOUND = """\
version: 1
authentication:
  jwt:
    corp:
      issuer: https://idp.example.com/
      audience: [https://api.example.com]
      jwks: {url: https://idp.example.com/jwks}
      algorithms: [RS256]
policies: policies
credentials:
  bot: {inject: bearer, secret: {env: TOKEN}}
upstreams:
  api: {url: "https://${UPSTREAM:-api.example.com}", credential: bot}
routes:
  - {name: api, match: {path: /api/**}, upstream: api, authenticate: [jwt.corp]}
"""
ENVIRON = {"TOKEN": "value"}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(SOUND)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "b.yaml").write_text("kind: Policy\nname: b\n")
    (tmp_path / "policies" / "a.yml").write_text("kind: Policy\nname: a ${NOT_SUBSTITUTED}\n")
    return tmp_path


def lines(house: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """The problems of a configuration, without the folder."""
    (house / "config.yaml").write_text(text)
    loaded = load([house / "config.yaml"], environ=ENVIRON if environ is None else environ)
    return [str(problem).replace(f"{house}/", "") for problem in loaded.problems]


def bearer(loaded: Loaded) -> Bearer:
    assert loaded.settings is not None
    credential = loaded.settings.credentials["bot"]
    assert isinstance(credential, Bearer)
    return credential


def test_a_sound_configuration_becomes_settings_without_problems(house: Path) -> None:
    loaded = load([house / "config.yaml"], environ=ENVIRON)
    assert loaded.problems == []
    assert loaded.settings is not None
    assert loaded.settings.upstreams["api"].url == "https://api.example.com"
    assert loaded.secrets(bearer(loaded).secret).current().reveal() == b"value"
    assert loaded.place(("routes", 0, "name")) == (str(house / "config.yaml"), 15, 12)


TEN = """\
version: 2
listn: {address: 127.0.0.1:80}
listen:
  address: 0.0.0.0:8080
authentication:
  jwt:
    corp:
      issuer: https://idp.example.com/
      audience: [https://api.example.com]
      jwks: {url: https://idp.example.com/jwks}
      algorithms: [RS257]
    mobile:
      issuer: https://mobile.example.com/
      jwks: {url: https://mobile.example.com/jwks}
      algorithms: [ES256]
policies: polices
credentials:
  bot: {inject: bearer, secret: ghp_hunter2}
rate_limits:
  rules:
    slow: {key: client.address, limit: 100 per minute}
upstreams:
  api: {url: "http://${UPSTREAM}", credential: bott}
routes:
  - name: api
    match: {path: "/api/{id}"}
    upstream: ap
    authenticate: [jwt.corp]
    params: {idd: "[0-9]+"}
  - name: api
    match: {path: /open}
    upstream: api
"""


def test_ten_mistakes_and_more_are_told_at_once_with_their_places_and_hints(house: Path) -> None:
    found = lines(house, TEN)
    for start in (
        "config.yaml:1:10: version: expected 1",
        "config.yaml:2:1: listn: unknown key 'listn' (did you mean 'listen'?)",
        "config.yaml:4:12: listen.address: plaintext on an address that is not loopback (add `tls`, or name",
        "config.yaml:11:20: authentication.jwt.corp.algorithms[0]: expected 'RS256', 'RS384'",
        "config.yaml:12:5: authentication.jwt.mobile: 'audience' is required",
        "config.yaml:16:11: policies: no such file or folder",
        "config.yaml:18:33: credentials.bot.secret: a secret is a reference: {env: NAME}, {file: PATH} or {sealed: NAME}",
        "config.yaml:21:40: rate_limits.rules.slow.limit: a rate is written like 100/minute",
        "config.yaml:23:14: upstreams.api.url: the variable UPSTREAM is not set (set it, or give a default",
        "config.yaml:23:48: upstreams.api.credential: unknown credential 'bott' (did you mean 'bot'?)",
        "config.yaml:27:15: routes[0].upstream: unknown upstream 'ap' (did you mean 'api'?)",
        "config.yaml:29:14: routes[0].params.idd: the path has no parameter 'idd' (did you mean 'id'?)",
        "config.yaml:30:11: routes[1].name: route name 'api' is used twice (first on line 25)",
        "config.yaml:30:5: routes[1]: exactly one of `authenticate` and `anonymous: true` is required",
    ):
        assert any(line.startswith(start) for line in found), start


def test_problems_come_in_the_order_of_the_file_and_once_each(house: Path) -> None:
    (house / "config.yaml").write_text(TEN)
    problems = load([house / "config.yaml"], environ=ENVIRON).problems
    places = [(problem.line, problem.column) for problem in problems]
    assert places == sorted(places)
    assert len(set(problems)) == len(problems)


def test_no_problem_shows_a_secret_that_stands_where_none_may(house: Path) -> None:
    assert "hunter2" not in "\n".join(lines(house, TEN))


def test_problems_of_policy_files_and_environment_files_are_told_too(house: Path) -> None:
    (house / "policies" / "b.yaml").write_text("a: *x\n")
    (house / "env").write_text("nonsense\n")
    loaded = load([house / "config.yaml"], [house / "env"], environ=ENVIRON)
    assert [Path(problem.file).name for problem in loaded.problems] == ["env", "b.yaml"]
    assert loaded.settings is not None


def test_policies_are_the_yaml_files_of_the_folder_in_order_and_never_substituted(house: Path) -> None:
    (house / "policies" / "notes.txt").write_text("x")
    (house / "policies" / "..2026").mkdir()
    (house / "policies" / ".hidden.yaml").write_text("a: *x")
    loaded = load([house / "config.yaml"], environ=ENVIRON)
    assert [Path(document.file).name for document in loaded.policies] == ["a.yml", "b.yaml"]
    assert loaded.policies[0].value["name"] == "a ${NOT_SUBSTITUTED}"


def test_a_policy_named_twice_is_read_once(house: Path) -> None:
    text = SOUND.replace("policies: policies", "policies: [policies/b.yaml, policies]")
    (house / "config.yaml").write_text(text)
    loaded = load([house / "config.yaml"], environ=ENVIRON)
    assert [Path(document.file).name for document in loaded.policies] == ["b.yaml", "a.yml"]


def test_later_files_win(house: Path) -> None:
    (house / "over.yaml").write_text("log: {level: debug}\nupstreams: {api: {url: https://other.example.com}}\n")
    loaded = load([house / "config.yaml", house / "over.yaml"], environ=ENVIRON)
    assert loaded.settings is not None
    assert loaded.settings.log.level == "debug"
    assert loaded.settings.upstreams["api"].url == "https://other.example.com"
    assert loaded.settings.upstreams["api"].credential == "bot"
    assert loaded.place(("upstreams", "api", "url"))[0] == str(house / "over.yaml")


def test_a_mistake_in_an_overlay_is_told_in_the_overlay(house: Path) -> None:
    (house / "over.yaml").write_text("log: {levle: debug}\n")
    [problem] = load([house / "config.yaml", house / "over.yaml"], environ=ENVIRON).problems
    assert (Path(problem.file).name, problem.line, problem.column) == ("over.yaml", 1, 7)


def test_environment_files_give_variables_and_the_environment_wins(house: Path) -> None:
    (house / "env").write_text("TOKEN=file\nUPSTREAM=file.example.com\n")
    loaded = load([house / "config.yaml"], [house / "env"], environ={"UPSTREAM": "real.example.com"})
    assert loaded.settings is not None
    assert loaded.settings.upstreams["api"].url == "https://real.example.com"
    assert loaded.secrets(bearer(loaded).secret).current().reveal() == b"file"


def test_every_file_looked_at_is_named_for_watching(house: Path) -> None:
    (house / "env").write_text("TOKEN=x\n")
    loaded = load([house / "config.yaml"], [house / "env"], environ={})
    names = ["config.yaml", "env", "policies", "policies/a.yml", "policies/b.yaml"]
    assert loaded.files == [house / name for name in names]


CHANGES: dict[str, tuple[str, str]] = {
    "a value": ("config.yaml", SOUND.replace("RS256", "ES256")),
    "a policy": ("policies/b.yaml", "kind: Policy\nname: c\n"),
    "another policy": ("policies/c.yaml", "kind: Policy\nname: c\n"),
}


@pytest.mark.parametrize(("file", "text"), CHANGES.values(), ids=CHANGES.keys())
def test_the_generation_changes_with_the_configuration(house: Path, file: str, text: str) -> None:
    before = load([house / "config.yaml"], environ=ENVIRON).generation
    (house / file).write_text(text)
    assert load([house / "config.yaml"], environ=ENVIRON).generation != before


def test_the_generation_changes_with_a_variable_but_not_with_a_secret_or_a_comment(house: Path) -> None:
    before = load([house / "config.yaml"], environ=ENVIRON).generation
    assert load([house / "config.yaml"], environ=ENVIRON | {"UPSTREAM": "b.example.com"}).generation != before
    assert load([house / "config.yaml"], environ={"TOKEN": "other"}).generation == before
    (house / "config.yaml").write_text("# comment\n" + SOUND)
    assert load([house / "config.yaml"], environ=ENVIRON).generation == before


SECRETS: dict[str, tuple[str, dict[str, str], str]] = {
    "unset": ("{env: NONE}", {}, "the variable NONE is not set (set it, or name a file of variables with --env-file)"),
    "empty": ("{env: NONE}", {"NONE": ""}, "the variable NONE is empty"),
    "absent file": ("{file: absent}", {}, "absent cannot be read: No such file or directory"),
    "folder": ("{file: policies}", {}, "policies cannot be read: Is a directory"),
    "wildcard": ("{file: /run/secrets/*}", {}, "a secret's file is one plain path"),
    "placeholder": ("{env: A}", {"A": "ChangeMe"}, "the secret is a placeholder"),
}


@pytest.mark.parametrize(("reference", "environ", "message"), SECRETS.values(), ids=SECRETS.keys())
def test_a_secret_that_cannot_be_had_is_found_at_load(house: Path, reference: str, environ: dict[str, str], message: str) -> None:
    [line] = lines(house, SOUND.replace("{env: TOKEN}", reference), environ)
    assert line.startswith("config.yaml:11:33: credentials.bot.secret: ")
    assert message in line


WEAK: dict[str, str] = {
    "pepper": "authentication: {api_keys: {file: k, pepper: {env: WEAK}}}",
    "shared secret": "authentication: {jwt: {a: {issuer: i, audience: [a], secret: {env: WEAK}, algorithms: [HS256]}}}",
    "admin token": "admin: {token: {env: WEAK}}",
}
VALUES = {"short": "short", "placeholder": "changeme-changeme-changeme-changeme", "repeated": "a" * 64}


@pytest.mark.parametrize("section", WEAK.values(), ids=WEAK.keys())
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_a_weak_secret_of_the_gateways_own_is_refused(house: Path, section: str, value: str) -> None:
    (house / "weak.yaml").write_text(section)
    loaded = load([house / "config.yaml", house / "weak.yaml"], environ=ENVIRON | {"WEAK": value})
    [error] = loaded.errors
    assert error.message.startswith("the secret ")
    assert value not in str(error)


@pytest.mark.parametrize(("algorithm", "size"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_shared_secret_is_as_long_as_its_hash(house: Path, algorithm: str, size: int) -> None:
    long = "k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u" * 2
    text = WEAK["shared secret"].replace("HS256", algorithm)
    (house / "own.yaml").write_text(text)
    paths = [house / "config.yaml", house / "own.yaml"]
    assert load(paths, environ=ENVIRON | {"WEAK": long[:size]}).errors == []
    assert len(load(paths, environ=ENVIRON | {"WEAK": long[: size - 1]}).errors) == 1


def test_a_secret_file_that_everybody_may_read_is_warned_about(house: Path) -> None:
    (house / "token").write_text("value")
    (house / "token").chmod(0o644)
    [line] = lines(house, SOUND.replace("{env: TOKEN}", "{file: token}"))
    assert line == "config.yaml:11:33: warning: credentials.bot.secret: the file is readable by everybody (chmod 640)"


SEARCH: dict[str, Any] = {"named": ({"GATEWAY_CONFIG": "/etc/other.yaml"}, "/etc/other.yaml"), "nothing": ({}, "config.yaml")}


@pytest.mark.parametrize(("environ", "path"), SEARCH.values(), ids=SEARCH.keys())
def test_without_a_path_the_usual_places_are_searched(environ: dict[str, str], path: str) -> None:
    assert find(environ) == [Path(path)]


def test_no_configuration_at_all_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load([], environ={})
    assert loaded.settings is None
    [problem] = map(str, loaded.problems)
    assert problem.startswith(
        "config.yaml:1:1: cannot be read: No such file or directory (name the configuration with --config or "
    )
    assert "/etc/gateway/config.yaml" in problem


@pytest.mark.parametrize("named", ["absent.yaml", "."])
def test_a_configuration_that_is_named_and_not_there_says_how_to_name_another(tmp_path: Path, named: str) -> None:
    [problem] = map(str, load([tmp_path / named], environ={}).problems)
    assert problem.endswith("(name the configuration with --config or $GATEWAY_CONFIG)")


def test_the_smallest_configuration_is_a_version(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("version: 1\n")
    loaded = load([tmp_path / "config.yaml"], environ={})
    assert loaded.errors == []
    assert loaded.settings is not None
    assert loaded.settings.listen is None
