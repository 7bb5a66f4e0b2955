"""`gateway config` and `gateway version`."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from gateway import __version__
from gateway.cli.resolved import DEFAULT, write_yaml
from gateway.cli.schema import config_schema, policy_schema
from gateway.config.document import read
from gateway.config.validation import validate
from gateway.settings import Settings
from tests.unit.cli.conftest import Command

ROOT = Path(__file__).parents[3]
CONFIG = """\
version: 1
admin: {token: {env: TOKEN}}
policies: policies
credentials:
  bot: {inject: bearer, secret: {file: secret}}
upstreams:
  api:
    url: "https://${HOST}"
    credential: bot
    headers: {set: {X-Api-Token: hunter4, X-Version: "1"}}
routes:
  - {name: api, match: {path: "/api/{id}"}, upstream: api, anonymous: true, params: {id: "[0-9]+"}}
"""


@pytest.fixture
def run(folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The console script in a folder with a configuration."""
    monkeypatch.setenv("TOKEN", "hunter2-hunter2-hunter2")
    monkeypatch.setenv("HOST", "api.example.com")
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "secret").write_text("hunter3")
    (folder / "policies").mkdir()
    return command


def test_every_value_is_printed_with_its_origin(run: Command, tmp_path: Path) -> None:
    code, out, _ = run("config", "print")
    assert code == 0
    lines = out.splitlines()
    assert "version: 1  # config.yaml:1" in lines
    assert (
        '    url: "https://api.example.com"  # config.yaml:8' in lines
        or "    url: https://api.example.com  # config.yaml:8" in lines
    )
    assert "    response: 30s  # default" in [line[2:] for line in lines]
    assert f"policies: {tmp_path}/policies  # config.yaml:3" in lines
    assert all(line.endswith(":") or line.strip() == "-" or re.search(r"  # (default|config\.yaml:\d+.*)$", line) for line in lines)


def test_secrets_are_masked_in_both_forms(run: Command) -> None:
    for format in ("yaml", "json"):
        _, out, err = run("config", "print", "--format", format)
        assert "hunter" not in out + err
        assert "***" in out


def test_what_is_printed_as_yaml_is_yaml_with_the_same_values_as_json(run: Command) -> None:
    _, as_yaml, _ = run("config", "print")
    _, as_json, _ = run("config", "print", "--format", "json")
    document = read("printed", as_yaml)
    assert document.problems == []
    assert document.value == json.loads(as_json)["configuration"]


def test_what_is_printed_loads_again_but_for_its_secrets(run: Command) -> None:
    _, out, _ = run("config", "print", "--format", "json")
    configuration = json.loads(out)["configuration"]
    configuration["admin"]["token"] = {"env": "TOKEN"}
    configuration["credentials"]["bot"]["secret"] = {"env": "TOKEN"}
    model, problems = validate(Settings, read("f", json.dumps(configuration)))
    assert problems == []
    assert model is not None


def test_origins_are_named_by_path_in_json(run: Command) -> None:
    origins = json.loads(run("config", "print", "--format", "json")[1])["origins"]
    assert origins["routes[0].name"] == "config.yaml:12"
    assert origins["routes[0].cors"] == DEFAULT
    assert origins["admin.token"] == "config.yaml:2, env:TOKEN"


def test_a_bad_configuration_is_not_printed(run: Command, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.replace("version: 1", "version: 2"))
    code, out, err = run("config", "print")
    assert (code, out) == (78, "")
    assert "config.yaml:1:10: version: expected 1" in err


@pytest.mark.parametrize(
    "value",
    [
        "yes: no",
        "a # b",
        "- x",
        "",
        " x",
        "x ",
        "*a",
        "&a",
        "!t",
        "null",
        "1.5",
        "'",
        '"',
        "é",
        "a: b",
        "{x}",
        "\u2028",
        "x:",
        "0o7",
    ],
)
def test_any_text_is_printed_so_that_it_is_read_back(value: str) -> None:
    from gateway.cli.resolved import Value

    document = read("f", write_yaml({"k": Value(value, "x"), value: Value(value, "x")} if value else {"k": Value(value, "x")}))
    assert document.problems == []
    assert document.value["k"] == value


@pytest.mark.parametrize(("kind", "schema"), [("config", config_schema), ("policy", policy_schema)], ids=["config", "policy"])
def test_the_schema_is_printed(run: Command, kind: str, schema: Callable[[], dict[str, Any]]) -> None:
    code, out, _ = run("config", "schema", "--kind", kind)
    assert code == 0
    assert json.loads(out) == schema()


@pytest.mark.parametrize("schema", [config_schema, policy_schema], ids=["config", "policy"])
def test_the_schema_is_one_of_2020_12_that_knows_every_key(schema: Callable[[], dict[str, Any]]) -> None:
    document = schema()
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(document)
    for name, definition in document["$defs"].items():
        assert definition.get("additionalProperties") is False or "properties" not in definition, name
        assert definition.get("description"), name


def test_the_example_is_valid_by_the_schema() -> None:
    validator = jsonschema_rs.Draft202012Validator(config_schema())
    assert [str(error) for error in validator.iter_errors(read(ROOT / "config.example.yaml").value)] == []


@pytest.mark.parametrize("path", sorted((ROOT / "policies").glob("*.yaml")), ids=lambda path: path.name)
def test_the_shipped_policies_are_valid_by_the_schema(path: Path) -> None:
    validator = jsonschema_rs.Draft202012Validator(policy_schema())
    assert [str(error) for error in validator.iter_errors(read(path).value)] == []


def test_the_schema_refuses_what_the_gateway_refuses() -> None:
    validator = jsonschema_rs.Draft202012Validator(config_schema())
    for wrong in (
        {},
        {"version": 2},
        {"version": 1, "listn": {}},
        {"version": 1, "admin": {"token": "bare"}},
        {"version": 1, "routes": {}},
    ):
        assert not validator.is_valid(wrong)


def test_the_defaults_of_the_schema_are_valid_by_it() -> None:
    def defaults(node: Any) -> list[tuple[Any, Any]]:
        if isinstance(node, list):
            return [pair for child in node for pair in defaults(child)]
        if not isinstance(node, dict):
            return []
        own = [(node, node["default"])] if "default" in node and not isinstance(node["default"], dict) else []
        return own + [pair for child in node.values() for pair in defaults(child)]

    document = config_schema()
    for schema, default in defaults(document):
        jsonschema_rs.Draft202012Validator({"$defs": document["$defs"], **schema}).validate(default)
    assert len(defaults(document)) > 50


def test_versions_are_printed(run: Command) -> None:
    code, out, _ = run("version")
    assert code == 0
    assert out.splitlines()[0] == f"gateway {__version__}"
    found = json.loads(run("version", "--json")[1])
    assert found["gateway"] == __version__
    assert {"python", "uvicorn", "cryptography", "pydantic"} <= found.keys()
