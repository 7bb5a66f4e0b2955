"""Attacks through, and on, configuration: values that would be code elsewhere, references that would be many, weak secrets."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

import gateway
from gateway.config.document import read
from gateway.config.substitution import substitute
from gateway.settings import Loaded, load

JWT = {"issuer": "https://i.example", "audience": ["a"], "jwks": {"url": "https://i.example/k"}, "algorithms": ["RS256"]}
SECRET = {"inject": "bearer", "secret": {"env": "TOKEN"}}
HOSTILE = [
    "`) || Host(`evil.example",
    '"; deny all; "',
    '{{ env "HOME" }}',
    "${HOME}",
    "{env.HOME}",
    "$(id)",
    "#{7*7}",
    "<%= 1 %>",
    "%{HOME}e",
]


def configured(folder: Path, environ: dict[str, str] | None = None, **sections: Any) -> Loaded:
    """A configuration of these sections, with policies, one upstream and one route."""
    document: dict[str, Any] = {
        "version": 1,
        "authentication": {"jwt": {"corp": JWT}},
        "upstreams": {"api": {"url": "https://api.example.com"}},
        "routes": [{"name": "r", "match": {"path": "/r"}, "upstream": "api", "authenticate": ["jwt.corp"]}],
    }
    (folder / "config.yaml").write_text(json.dumps(document | sections))
    return load([folder / "config.yaml"], environ={"TOKEN": "value"} if environ is None else environ)


@pytest.mark.parametrize("text", HOSTILE)
def test_cve_2026_29777_quotes_and_templates_in_a_value_are_data(tmp_path: Path, text: str) -> None:
    """Row 23: a rule injected through a backtick in a match value."""
    written = text.replace("$", "$$")
    loaded = configured(tmp_path, upstreams={"api": {"url": "https://api.example.com", "headers": {"set": {"X-Note": written}}}})
    assert loaded.errors == []
    assert loaded.settings is not None
    assert loaded.settings.upstreams["api"].headers.set == {"X-Note": text}


@pytest.mark.parametrize("text", HOSTILE)
def test_cve_2026_32695_a_host_is_a_host_and_nothing_beside_it(tmp_path: Path, text: str) -> None:
    """Row 23: what is no host name is refused, not passed to a rule language."""
    route = {"name": "r", "match": {"path": "/r", "host": text.replace("$", "$$")}, "upstream": "api", "authenticate": ["jwt.corp"]}
    loaded = configured(tmp_path, routes=[route])
    assert [problem.path for problem in loaded.errors] == ["routes[0].match.host"]


@pytest.mark.parametrize("name", ["**", "*", "PREFIX_*", "A?", "[A]", "A/B", "../A", "A,B", "A B", "", "${TOKEN"])
def test_docker_mcp_gateway_467_an_environment_reference_names_one_variable(tmp_path: Path, name: str) -> None:
    """Row 109: the secret name `**` was a glob, and all of the vault went into one header."""
    loaded = configured(tmp_path, credentials={"c": {"inject": "bearer", "secret": {"env": name}}})
    assert [problem.path for problem in loaded.errors] == ["credentials.c.secret.env"]


@pytest.mark.parametrize(
    "name", ["/run/secrets/*", "/run/secrets/**", "secret?", "[ab]", "/run/secrets/../../etc/shadow", "..", "a/../b"]
)
def test_docker_mcp_gateway_467_a_file_reference_names_one_file(tmp_path: Path, name: str) -> None:
    """Row 109, for files."""
    (tmp_path / "secret1").write_text("one")
    loaded = configured(tmp_path, credentials={"c": {"inject": "bearer", "secret": {"file": name}}})
    assert [problem.message for problem in loaded.errors] == [
        "a secret's file is one plain path: no wildcards, no '..', no control characters"
    ]


WEAK = ["changeme", "secret", "", "short", "change-me-change-me-change-me-change-me", "a" * 64]
PLACES: dict[str, dict[str, Any]] = {
    "pepper": {"authentication": {"jwt": {"corp": JWT}, "api_keys": {"file": "keys.yaml", "pepper": {"env": "WEAK"}}}},
    "token": {"admin": {"token": {"env": "WEAK"}}},
    "shared secret": {
        "authentication": {
            "jwt": {"corp": JWT, "own": {"issuer": "own", "audience": ["a"], "algorithms": ["HS256"], "secret": {"env": "WEAK"}}}
        }
    },
}


@pytest.mark.parametrize("sections", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("value", WEAK, ids=["changeme", "word", "empty", "short", "long placeholder", "one letter"])
def test_ghsa_8pcq_mx48_hjvj_a_weak_secret_is_a_configuration_error(tmp_path: Path, sections: dict[str, Any], value: str) -> None:
    """Row 118: weak default secrets."""
    loaded = configured(tmp_path, environ={"WEAK": value}, **sections)
    assert len(loaded.errors) == 1
    assert not value or value not in str(loaded.errors[0]).replace("secret", "")


def test_cve_2026_30852_a_substituted_value_is_never_substituted_again() -> None:
    """Row 146: template double expansion leaked the environment and files."""
    hostile = {"A": "${B} {env.B} {file./etc/passwd} {{ .B }} $B", "B": "leaked"}
    found = substitute(read("f", 'plain: ${A}\nquoted: "${A}"\nmixed: "x${A}y"\n'), hostile)
    assert found.value == {"plain": hostile["A"], "quoted": hostile["A"], "mixed": f"x{hostile['A']}y"}


def test_cve_2026_30852_policies_are_never_substituted(tmp_path: Path) -> None:
    """Row 146: in a policy `${…}` is text."""
    text = "kind: Policy\nname: '${TOKEN} {env.TOKEN}'\n"
    (tmp_path / "p.yaml").write_text(text)
    loaded = configured(tmp_path, policies="p.yaml")
    assert [document.value["name"] for document in loaded.policies] == ["${TOKEN} {env.TOKEN}"]


def test_cve_2026_30852_only_loading_a_configuration_knows_substitution() -> None:
    """Row 146: nothing that handles a request can expand anything."""
    root = Path(gateway.__file__).parent
    users = set()
    for path in root.rglob("*.py"):
        imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, (ast.Import, ast.ImportFrom))]
        if any("substitution" in ast.dump(node) or "expandvars" in ast.dump(node) for node in imports):
            users.add(path.relative_to(root).as_posix())
    assert users == {"settings/load.py"}


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        "[" * 100_000,
        "{a: " * 100_000,
        "a: !!python/object/apply:os.system [id]",
        "a: !!python/name:os.system",
        "? " * 5000,
        "&a " * 5000,
    ],
    ids=["billion laughs", "deep lists", "deep mappings", "call", "name", "deep keys", "anchors"],
)
def test_yaml_that_would_expand_recurse_or_run_is_refused(tmp_path: Path, text: str) -> None:
    """Documents that take down or take over other YAML readers."""
    (tmp_path / "config.yaml").write_text(text)
    loaded = load([tmp_path / "config.yaml"], environ={})
    assert loaded.settings is None
    assert loaded.errors


def test_a_credential_in_a_url_is_refused_wherever_the_url_stands(tmp_path: Path) -> None:
    """Userinfo ends in logs, in traces and in error messages of every library."""
    loaded = configured(
        tmp_path,
        upstreams={"api": {"url": "https://bot:hunter2@api.example.com"}},
        rate_limits={"store": {"redis": {"url": "redis://:hunter2@redis:6379"}}},
        telemetry={"traces": {"otlp": "http://bot:hunter2@collector:4318"}},
        authentication={"jwt": {"corp": JWT | {"jwks": {"url": "https://bot:hunter2@i.example/k"}}}},
        security_txt={"contact": "https://bot:hunter2@example.com"},
    )
    told = {problem.path for problem in loaded.errors}
    assert {
        "upstreams.api.url",
        "rate_limits.store.redis.url",
        "telemetry.traces.otlp",
        "authentication.jwt.corp.jwks.url",
        "security_txt.contact",
    } <= told
    assert "hunter2" not in "".join(map(str, loaded.problems))
