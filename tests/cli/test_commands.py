"""The commands as people type them: their output and their exit codes; some of 0, 1 and 78 as processes."""

import asyncio
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.house import Upstream
from tests.standalone import standalone
from tests.typed import typed

SOUND = """\
version: 1
authentication:
  jwt:
    corp:
      issuer: https://idp.example.com/
      audience: [https://api.example.com]
      jwks: {url: https://idp.example.com/jwks.json}
      algorithms: [RS256]
policies: policies
credentials:
  bot: {inject: bearer, secret: {env: BOT_TOKEN}}
upstreams:
  api: {url: https://api.example.com, credential: bot}
routes:
  - name: issues
    match: {path: "/repos/{owner}/issues", methods: [GET, POST]}
    upstream: api
    authenticate: [jwt.corp]
"""
POLICY = """\
apiVersion: gateway/v1
kind: Policy
name: issues
routes: [issues]
rules:
  - {name: read, allow: [GET]}
  - {name: own, allow: [POST], when: "subject.claims.org == resource.params.owner"}
"""
CASES = """\
apiVersion: gateway/v1
kind: PolicyTest
name: issues
subjects:
  alice: {issuer: corp, scheme: jwt, id: alice, claims: {org: acme}}
cases:
  - {request: GET /repos/other/issues, expect: {alice: allow}}
  - {request: POST /repos/acme/issues, expect: {alice: allow}}
  - {request: POST /repos/other/issues, expect: {alice: deny}}
"""
TEN = """\
version: 1
listn: {address: 127.0.0.1:8080}
authentication:
  jwt:
    corp:
      issuer: https://idp.example.com/
      audience: [https://api.example.com]
      jwks: {url: https://idp.example.com/jwks.json}
      algorithms: [RS257]
policies: policies
credentials:
  bot: {inject: bearer, secret: ghp_hunter2}
rate_limits:
  default: [slow]
  rules: {slow: {key: client.address, limit: 100 per minute}}
upstreams:
  api: {url: http://api.example.com, credential: bott}
routes:
  - name: issues
    match: {path: "/repos/{owner}/issues"}
    upstream: ap
    authenticate: [jwt.corp]
    params: {ownr: "[a-z]+"}
  - name: open
    match: {path: /open}
    upstream: api
"""
TOLD = """\
config.yaml:2:1: listn: unknown key 'listn' (did you mean 'listen'?)
config.yaml:9:20: authentication.jwt.corp.algorithms[0]: expected
config.yaml:12:33: credentials.bot.secret: a secret is a reference: {env: NAME}, {file: PATH} or {sealed: NAME}
config.yaml:15:46: rate_limits.rules.slow.limit: a rate is written like 100/minute
config.yaml:17:14: upstreams.api.url: http:// carries credentials readable by all (use https://
config.yaml:17:50: upstreams.api.credential: unknown credential 'bott' (did you mean 'bot'?)
config.yaml:21:15: routes[0].upstream: unknown upstream 'ap' (did you mean 'api'?)
config.yaml:23:14: routes[0].params.ownr: the path has no parameter 'ownr' (did you mean 'owner'?)
config.yaml:24:5: routes[1]: exactly one of `authenticate` and `anonymous: true` is required
policies/issues.yaml:6:18: rules[0].alow: unknown key 'alow' (did you mean 'allow'?)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(SOUND)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "issues.yaml").write_text(POLICY)
    (tmp_path / "policies" / "issues_test.yaml").write_text(CASES)
    return tmp_path


def here(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The same without a process of its own."""
    return typed(folder, *arguments, PATH=os.environ["PATH"], BOT_TOKEN="canary-bot-token")


def gateway(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The console script, run in `folder`."""
    script = Path(sys.executable).with_name("gateway")
    environment = {"PATH": os.environ["PATH"], "BOT_TOKEN": "canary-bot-token", **environ}
    return subprocess.run([script, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def test_check_tells_ten_different_mistakes_at_once_with_their_places_and_hints(folder: Path) -> None:
    (folder / "config.yaml").write_text(TEN)
    (folder / "policies" / "issues.yaml").write_text(POLICY.replace("allow: [GET]", "alow: [GET]"))
    found = gateway(folder, "check")
    assert found.returncode == 78
    *told, count = [line for line in found.stdout.splitlines() if ": warning: " not in line and not line.startswith("    ")]
    assert count.startswith("10 errors"), found.stdout
    for line, start in zip(sorted(told), sorted(TOLD.splitlines()), strict=True):
        assert line.startswith(start), found.stdout
    assert "hunter2" not in found.stdout + found.stderr


def test_a_sound_configuration_is_exit_0(folder: Path) -> None:
    found = gateway(folder, "check")
    assert (found.returncode, found.stdout) == (0, "no problems\n")


def test_policy_test_tells_what_passed_and_fails_with_what_did_not(folder: Path) -> None:
    passed = here(folder, "policy", "test")
    assert passed.returncode == 0
    assert passed.stdout.startswith("3 passed, 0 failed")
    (folder / "policies" / "issues_test.yaml").write_text(CASES.replace("alice: deny", "alice: allow"))
    failed = gateway(folder, "policy", "test")
    assert failed.returncode == 1
    assert "issues_test.yaml:9: POST /repos/other/issues as alice:" in failed.stdout
    assert "2 passed, 1 failed" in failed.stdout


@pytest.mark.parametrize(("owner", "allowed", "rule"), [("acme", True, "issues/own"), ("other", False, None)], ids=["own", "other"])
def test_policy_explain_answers_for_a_subject_of_a_test(folder: Path, owner: str, allowed: bool, rule: str | None) -> None:
    command = ("policy", "explain", "POST", f"/repos/{owner}/issues", "--as", "alice")
    found = here(folder, *command, "--format", "json")
    assert found.returncode == 0
    told = json.loads(found.stdout)
    assert (told["decision"], told["rule"]) == ("allow" if allowed else "deny", rule)
    text = here(folder, *command)
    assert text.returncode == 0
    assert "acme" in text.stdout  # the values compared


def test_policy_explain_answers_for_the_bearer_of_claims(folder: Path) -> None:
    claims = {"iss": "https://idp.example.com/", "sub": "bob", "org": "other"}
    (folder / "claims.json").write_text(json.dumps(claims))
    for owner, decision in (("other", "allow"), ("acme", "deny")):
        found = here(folder, "policy", "explain", "POST", f"/repos/{owner}/issues", "--claims", "claims.json", "--format", "json")
        assert found.returncode == 0
        assert json.loads(found.stdout)["decision"] == decision


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("GET", "/nowhere"), 1),
        (("GET", "/repos/../issues"), 1),
        (("GET", "/repos/acme/issues", "--as", "nobody"), 2),
        (("GET", "/repos/acme/issues", "--claims", "none.json"), 2),
        (("G T", "/repos/acme/issues"), 2),
        (("GET", "no-slash"), 2),
        (("GET", "/repos/acme/issues", "--now", "yesterday"), 2),
        (("GET", "/repos/acme/issues", "--from", "nowhere"), 2),
    ],
    ids=["no route", "refused path", "unknown subject", "no file", "odd method", "odd path", "odd time", "odd address"],
)
def test_policy_explain_says_what_is_wrong_with_a_question(folder: Path, arguments: tuple[str, ...], code: int) -> None:
    found = here(folder, "policy", "explain", *arguments)
    assert (found.returncode, "Traceback" in found.stderr) == (code, False), found.stderr
    assert found.stdout + found.stderr


def test_config_print_tells_where_each_value_is_from_and_no_secret(folder: Path) -> None:
    for form in ("yaml", "json"):
        found = here(folder, "config", "print", "--format", form)
        assert found.returncode == 0
        assert "config.yaml:11" in found.stdout
        assert "canary-bot-token" not in found.stdout + found.stderr
        assert "***" in found.stdout


def test_config_schema_is_a_schema(folder: Path) -> None:
    found = here(folder, "config", "schema")
    assert found.returncode == 0
    assert json.loads(found.stdout)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_version_as_json_names_what_is_installed(folder: Path) -> None:
    found = gateway(folder, "version", "--json")
    assert found.returncode == 0
    told = json.loads(found.stdout)
    assert told["gateway"] == version("latchgate")
    assert told["uvicorn"] == version("uvicorn")
    assert set(told) >= {"python", "cryptography"}


async def test_healthcheck_tells_a_live_gateway_from_an_ended_one(tmp_path: Path) -> None:
    async with Upstream() as upstream, standalone(tmp_path, upstream) as running:
        config = str(tmp_path / "config.yaml")
        by_configuration = await asyncio.to_thread(gateway, tmp_path, "healthcheck", "--config", config, UPSTREAM_TOKEN="t")
        by_address = await asyncio.to_thread(gateway, tmp_path, "healthcheck", "--address", f"unix:{running.socket('admin')}")
        assert (by_configuration.returncode, by_configuration.stdout) == (0, "ready\n")
        assert (by_address.returncode, by_address.stdout) == (0, "ready\n")
        assert await running.end() == 0
        ended = await asyncio.to_thread(gateway, tmp_path, "healthcheck", "--config", config, UPSTREAM_TOKEN="t")
        assert (ended.returncode, ended.stdout.startswith("not ready: ")) == (1, True)


@pytest.mark.parametrize("command", [["check"], ["serve"], ["policy", "test"], ["config", "print"]], ids=" ".join)
def test_a_command_without_a_configuration_says_how_to_name_one(tmp_path: Path, command: list[str]) -> None:
    found = (gateway if command == ["serve"] else here)(tmp_path, *command)
    assert found.returncode == 78
    assert "name the configuration with --config or $GATEWAY_CONFIG" in found.stdout + found.stderr


def test_a_pipe_is_no_configuration(tmp_path: Path) -> None:
    """As `--config <(command)` would be: it could be read once, and never by a reload."""
    os.mkfifo(tmp_path / "config.yaml")
    found = here(tmp_path, "check", "--config", str(tmp_path / "config.yaml"))
    assert found.returncode == 78
    assert "not a regular file" in found.stdout


def test_check_says_what_several_workers_would_refuse_in_the_words_that_refuse_them(folder: Path) -> None:
    (folder / "policies" / "issues.yaml").write_text(POLICY)
    checked, served = here(folder, "check", "--workers", "2"), gateway(folder, "serve", "--workers", "2")
    assert (checked.returncode, served.returncode) == (78, 78)
    [told] = [line for line in checked.stdout.splitlines() if "memory with --workers above 1" in line]
    assert told in served.stderr.splitlines()
    assert here(folder, "check").returncode == 0
