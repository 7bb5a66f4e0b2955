"""`gateway check`: every problem at once, in three forms, with exit codes supervisors can act on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway import cli
from tests.unit.cli.conftest import Command

SOUND = """\
version: 1
policies: policies
upstreams:
  api: {url: https://api.example.com}
routes:
  - {name: api, match: {path: /api/**}, upstream: api, anonymous: true}
"""
POLICY = """\
apiVersion: gateway/v1
kind: Policy
name: api
routes: [api]
rules:
  - {name: read, allow: [GET]}
"""
CASES = """\
apiVersion: gateway/v1
kind: PolicyTest
name: api
subjects:
  anybody: {issuer: anonymous, scheme: anonymous, id: anonymous}
cases:
  - request: GET /api/x
    expect: {anybody: allow}
  - request: POST /api/x
    expect: {anybody: EFFECT}
"""


@pytest.fixture
def house(folder: Path) -> Path:
    (folder / "config.yaml").write_text(SOUND)
    (folder / "policies").mkdir()
    (folder / "policies" / "api.yaml").write_text(POLICY)
    (folder / "policies" / "api_test.yaml").write_text(CASES.replace("EFFECT", "deny"))
    return folder


@pytest.fixture
def run(house: Path, command: Command) -> Command:
    """The console script in a folder with a sound configuration."""
    return command


def test_what_only_several_workers_would_refuse_is_told_where_they_are_named(run: Command, house: Path) -> None:
    assert run("check", "--workers", "1")[0] == 0
    code, out, _ = run("check", "--workers", "2")
    assert (code, out.count("\n")) == (78, 2)
    assert "rate_limits.store: memory with --workers above 1: " in out
    assert "per_worker: true" in out
    (house / "config.yaml").write_text(SOUND + "rate_limits: {per_worker: true}\n")
    assert run("check", "--workers", "2")[0] == 0


@pytest.mark.parametrize(("replay", "code"), [("", 78), (", replay: 0s", 0), (", replay: 1d", 78)])
def test_workers_that_each_remember_signatures_by_themselves_are_refused(
    run: Command, house: Path, monkeypatch: pytest.MonkeyPatch, replay: str, code: int
) -> None:
    """A signature used at one worker could be used once more at each other."""
    monkeypatch.setenv("HOOK", "It's a Secret to Everybody")
    sender = f"{{header: X-Signature, secrets: [{{env: HOOK}}], subject: hooks{replay}}}"
    more = f"rate_limits: {{per_worker: true}}\nauthentication: {{hmac: {{hooks: {sender}}}}}\n"
    (house / "config.yaml").write_text(SOUND + more)
    ended, out, _ = run("check", "--workers", "2")
    assert (ended, "state.store: memory with --workers above 1" in out) == (code, code != 0)


@pytest.mark.parametrize(("replay", "code"), [("", 78), (", replay: allow", 0)])
def test_workers_that_each_remember_message_signatures_by_themselves_are_refused(
    run: Command, house: Path, replay: str, code: int
) -> None:
    more = f"rate_limits: {{per_worker: true}}\nauthentication: {{signatures: {{a: {{jwks: {{url: 'https://k.example/'}}{replay}}}}}}}\n"
    (house / "config.yaml").write_text(SOUND + more)
    ended, out, _ = run("check", "--workers", "2")
    assert (ended, "state.store: memory with --workers above 1" in out) == (code, code != 0)


def test_a_sound_configuration_is_exit_0(run: Command) -> None:
    assert run("check") == (0, "no problems\n", "")


def test_a_warning_is_told_and_fails_only_when_asked_to(run: Command, house: Path) -> None:
    (house / "config.yaml").write_text(SOUND + "cors: {app: {origins: [https://a.example]}}\n")
    told = "config.yaml:7:8: warning: cors.app: CORS policy 'app' is used by nothing\n0 errors, 1 warning\n"
    assert run("check") == (0, told, "")
    assert run("check", "--strict") == (1, told, "")


ORIGINS = "cors: {app: {origins: [ORIGIN]}}\n"
ROUTE = "anonymous: true, cors: app, websocket: {origins: [ORIGIN]}}"


def test_the_origin_of_an_app_or_an_extension_is_one(run: Command, house: Path) -> None:
    """Such pages name it in Origin; what is found sound here can also be built."""
    sound = SOUND.replace("anonymous: true}", ROUTE).replace("/api/**}", "/api/**, methods: [GET, POST]}") + ORIGINS
    for origin in ("capacitor://localhost", "ionic://localhost", "chrome-extension://abcdefghij", "https://a.example."):
        (house / "config.yaml").write_text(sound.replace("ORIGIN", origin))
        assert run("check") == (0, "no problems\n", "")


@pytest.mark.parametrize(
    "origin", ["https://a.example:0", "https://a.example:0443", "capacitor:app", "capacitor://*.a.example", "https://*.com."]
)
def test_what_is_no_origin_is_told_once_with_its_place(run: Command, house: Path, origin: str) -> None:
    (house / "config.yaml").write_text(SOUND.replace("true}", "true, cors: app}") + ORIGINS.replace("ORIGIN", f'"{origin}"'))
    code, out, _ = run("check")
    assert code == 78
    assert out.startswith("config.yaml:7:24: cors.app.origins[0]: ")
    assert out.endswith("\n1 error, 0 warnings\n")
    assert out.count("origins[0]") == 1


def test_a_mistake_is_exit_78(run: Command, house: Path) -> None:
    (house / "config.yaml").write_text(SOUND.replace("upstream: api", "upstream: apo"))
    code, out, _ = run("check")
    assert code == 78
    assert "config.yaml:6:51: routes[0].upstream: unknown upstream 'apo' (did you mean 'api'?)\n" in out


def test_a_mistake_in_a_policy_is_exit_78_and_told_beside_those_of_the_configuration(run: Command, house: Path) -> None:
    (house / "config.yaml").write_text(SOUND.replace("upstream: api", "upstream: apo"))
    (house / "policies" / "api.yaml").write_text(
        POLICY.replace("routes: [api]", "routes: [aip]").replace("allow: [GET]", "when: x =")
    )
    code, out, _ = run("check")
    assert code == 78
    assert "config.yaml:6:51: routes[0].upstream" in out
    assert "policies/api.yaml:6:" in out


def test_a_conflict_that_only_a_build_finds_is_exit_78(run: Command, house: Path) -> None:
    (house / "config.yaml").write_text(SOUND + "  - {name: twin, match: {path: /api/**}, upstream: api, anonymous: true}\n")
    code, out, _ = run("check")
    assert code == 78
    assert "config.yaml:7:" in out


def test_what_stops_a_build_is_told_once(run: Command, house: Path) -> None:
    (house / "config.yaml").write_text(SOUND.replace("https://", "http://") + "rate_limits: {default: [nix]}\n")
    code, out, _ = run("check")
    assert code == 78
    assert out.count("http://") == 1
    assert out.count("nix") == 1


def test_conflicts_are_told_beside_other_mistakes(run: Command, house: Path) -> None:
    twin = "  - {name: twin, match: {path: /api/**}, upstream: api, anonymous: true}\n"
    (house / "config.yaml").write_text(SOUND.replace("upstream: api", "upstream: api, cors: nix") + twin)
    code, out, _ = run("check")
    assert code == 78
    assert "unknown CORS policy 'nix'" in out
    assert "config.yaml:7:" in out


def test_a_failed_policy_case_alone_is_exit_1(run: Command, house: Path) -> None:
    (house / "policies" / "api_test.yaml").write_text(CASES.replace("EFFECT", "allow"))
    code, out, _ = run("check")
    assert code == 1
    assert "policies/api_test.yaml:9:5: " in out
    assert "1 error, 0 warnings" in out


def test_a_mistake_outweighs_a_failed_case(run: Command, house: Path) -> None:
    (house / "policies" / "api_test.yaml").write_text(CASES.replace("EFFECT", "allow"))
    (house / "config.yaml").write_text(SOUND.replace("version: 1", "version: 2"))
    assert run("check")[0] == 78


def test_as_json_every_problem_is_an_object(run: Command, house: Path) -> None:
    (house / "config.yaml").write_text(SOUND.replace("upstream: api", "upstream: apo"))
    code, out, _ = run("check", "--format", "json")
    found = json.loads(out)
    assert code == 78
    assert found["ok"] is False
    assert {
        "file": "config.yaml",
        "line": 6,
        "column": 51,
        "path": "routes[0].upstream",
        "message": "unknown upstream 'apo'",
        "hint": "did you mean 'api'?",
        "severity": "error",
    } in found["problems"]


def test_as_json_a_sound_configuration_is_ok(run: Command) -> None:
    assert json.loads(run("check", "--format", "json")[1]) == {"ok": True, "problems": []}


def test_as_sarif_every_problem_is_a_result_at_its_place(run: Command, house: Path) -> None:
    (house / "config.yaml").write_text(SOUND.replace("upstream: api", "upstream: apo"))
    document: dict[str, Any] = json.loads(run("check", "--format", "sarif")[1])
    assert document["version"] == "2.1.0"
    [only] = document["runs"]
    assert only["tool"]["driver"]["name"] == "gateway"
    assert {result["ruleId"] for result in only["results"]} <= {rule["id"] for rule in only["tool"]["driver"]["rules"]}
    [result] = [result for result in only["results"] if "apo" in result["message"]["text"]]
    assert result["level"] == "error"
    assert result["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "config.yaml"},
                "region": {"startLine": 6, "startColumn": 51},
            }
        }
    ]


def test_several_files_and_variables_are_taken(run: Command, house: Path) -> None:
    (house / "over.yaml").write_text("upstreams: {api: {url: 'https://${HOST}'}}\n")
    (house / "env").write_text("HOST=other.example.com\n")
    assert run("check", "--config", "config.yaml", "--config", "over.yaml", "--env-file", "env") == (0, "no problems\n", "")
    assert run("check", "-c", "config.yaml", "-c", "over.yaml")[0] == 78


def test_the_variable_names_the_file(run: Command, house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (house / "config.yaml").rename(house / "other.yaml")
    assert run("check")[0] == 78
    monkeypatch.setenv("GATEWAY_CONFIG", str(house / "other.yaml"))
    assert run("check")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [("check", "--nope"), ("check", "--format", "xml"), ("nope",), ("check", "extra"), ("config", "nope")],
    ids="-".join,
)
def test_a_mistake_in_the_command_is_exit_2(run: Command, arguments: tuple[str, ...]) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert err


def test_help_lists_every_command(run: Command) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert all(f"  {name} " in out for name in cli.COMMANDS)


def test_a_secret_in_the_wrong_place_is_not_repeated(run: Command, house: Path) -> None:
    (house / "config.yaml").write_text(SOUND + "credentials: {c: {inject: bearer, secret: hunter2}}\nadmin: {token: hunter2}\n")
    for format in ("text", "json", "sarif"):
        code, out, err = run("check", "--format", format)
        assert code == 78
        assert "hunter2" not in out + err


def test_the_module_is_the_command(house: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "gateway", "check"], capture_output=True, text=True, cwd=house, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "no problems\n", "")


def test_a_command_loads_only_what_it_needs(house: Path) -> None:
    program = (
        "import sys; sys.argv = ['gateway', 'version']; from gateway.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('gateway.settings', 'yaml', 'httpx', 'redis', 'uvicorn', 'starlette', 'jsonschema_rs', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=house, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"
