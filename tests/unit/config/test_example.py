"""config.example.yaml: sound, complete, and every key explained."""

import asyncio
import base64
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from pydantic import BaseModel

from gateway.authz.lints import LINTS
from gateway.cli.policy_lint import findings
from gateway.config import shape
from gateway.config.document import read
from gateway.config.values import parse_duration, parse_size
from gateway.core.secret import Secret
from gateway.credentials.stored.drawer import Drawer, Facts
from gateway.credentials.vault.keys import LocalKey
from gateway.credentials.vault.place import entry
from gateway.credentials.vault.ring import Ring
from gateway.rehearsal import check
from gateway.settings import Loaded, Settings, load
from tests.storing import Beside

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "config.example.yaml"
SEALED = re.compile(r"^(  [a-z-]+: )lgs1:.*$", re.MULTILINE)
KEY = re.compile(r"^\s*(?:- )?([A-Za-z_-]+):(\s|$)")
PEM = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
RANDOM = "k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u"
KEY_SET = (
    '{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "a", "alg": "EdDSA", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
)
VARIABLES = {
    "GATEWAY_ADMIN_TOKEN": RANDOM,
    "GATEWAY_KEY_PEPPER": RANDOM[::-1],
    "BATCH_TOKEN_SECRET": RANDOM.swapcase(),
    "HOOK_SECRET": "whsec_" + base64.b64encode(RANDOM.encode()).decode(),
    "AGENT_SECRET": RANDOM[::-1],
    "INTROSPECTION_SECRET": "introspection-value",
    "OPERATORS_CLIENT_SECRET": "operators-client",
    "OPERATORS_KEY": RANDOM[3:] + RANDOM[:3],
    "DPOP_NONCE_KEY": RANDOM[::-1].swapcase(),
    "REDACTION_KEY": RANDOM[::-2] + RANDOM[::2],
    "GITHUB_TOKEN": "gh-value",
    "MAPS_KEY": "maps-value",
    "PARTNER_KEY": RANDOM[1:] + RANDOM[:1],
    "GATEWAY_VAULT_KEY": base64.b64encode(bytes(range(100, 132))).decode(),
    "AWS_SECRET_ACCESS_KEY": "aws-value",
    "AWS_SESSION_TOKEN": "aws-session-value",
    "VAULT_ROLE_ID": "role-value",
    "WIKI_CLIENT_SECRET": "wiki-value",
    "WIKI_REFRESH_TOKEN": "wiki-refresh-value",
    "BILLING_CLIENT_SECRET": "billing-value",
    "EXCHANGE_CLIENT_SECRET": "exchange-value",
    "GRAPH_SECRET": "graph-value",
    "REDIS_PASSWORD": "redis-value",
    "TRACKER_CLIENT_SECRET": "tracker-value",
    "DATABASE_PASSWORD": "database-value",
    "DATABASE_OWNER_PASSWORD": "database-owner-value",
    "LOGIN_CLIENT_SECRET": "login-value",
    "SESSION_KEY": RANDOM[2:] + RANDOM[:2],
    "TOKENS_KEY": RANDOM[3:] + RANDOM[:3],
    "TOKENS_KEY_BEFORE": RANDOM[4:] + RANDOM[:4],
    "REPORTS_SECRET": RANDOM[5:] + RANDOM[:5],
    "REPORTS_SECRET_BEFORE": RANDOM[6:] + RANDOM[:6],
    "FRONTEND_URL": "https://app.example.com",
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example and every file it names."""
    folder = tmp_path_factory.mktemp("example")
    (folder / "config.yaml").write_text(SEALED.sub(_sealed, EXAMPLE.read_text()))
    shutil.copytree(ROOT / "policies", folder / "policies")
    for name in ("certs", "keys", "secrets", "schemas"):
        (folder / name).mkdir()
    ca = trustme.CA()
    leaf = ca.issue_cert("api.example.com", "127.0.0.1")
    for name in ("clients-ca", "idp-ca", "upstream-ca", "redis-ca", "vault-ca", "db-ca"):
        ca.cert_pem.write_to_path(folder / "certs" / f"{name}.crt")
    for name in ("server", "gateway-client", "redis-client", "db-client"):
        leaf.cert_chain_pems[0].write_to_path(folder / "certs" / f"{name}.crt")
        leaf.private_key_pem.write_to_path(folder / "certs" / f"{name}.key")
        (folder / "certs" / f"{name}.key").chmod(0o600)
    (folder / "certs" / "clients.crl").write_bytes(_empty_crl(ca))
    (folder / "keys" / "offline.json").write_text(KEY_SET)
    (folder / "keys" / "agent.json").write_text(KEY_SET)
    (folder / "keys" / "mesh-bundle.json").write_text(KEY_SET.replace('"kid"', '"use": "jwt-svid", "kid"'))
    key = rsa.generate_private_key(65537, 2048).private_bytes(*PEM).decode()
    account = {"type": "service_account", "client_email": "gw@example.com", "private_key_id": "k", "private_key": key}
    written = {
        "secrets/jira": "jira-value\n",
        "secrets/vault-2026-08": base64.b64encode(bytes(range(32))).decode(),
        "secrets/identity-token": "e30.e30.x\n",
        "secrets/vault-token": "hvs.a-token\n",
        "secrets/vault-secret-id": "secret-id-value\n",
        "secrets/serviceaccount-token": "e30.e30.x\n",
        "secrets/aws.json": json.dumps({"Version": 1, "AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "aws-value"}),
        "keys/client.pem": key,
        **{f"keys/{name}.pem": _elliptic() for name in ("identity", "identity-before")},
        "keys/google.json": json.dumps(account),
    }
    for name, text in written.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    for name in ("issue", "issue-query", "issue-headers"):
        (folder / "schemas" / f"{name}.json").write_text('{"type": "object"}')
    (folder / "schemas" / "tracker.yaml").write_text('openapi: 3.1.0\npaths: {/: {get: {responses: {"200": {description: ok}}}}}\n')
    (folder / "api-keys.yaml").write_text("[]\n")
    asyncio.run(_stored(folder / "latchgate.db"))
    return folder


async def _stored(file: Path) -> None:
    """What lies in the database."""
    key = LocalKey("2026-11", Secret(VARIABLES["GATEWAY_VAULT_KEY"].encode()))
    async with Beside(file) as beside:
        drawer = Drawer(beside.rows, Ring([key], time.time), time.time)
        for name in (
            *["crm-sid", "github-token", "gitlab-token", "group-token", "jira-password", "legacy-token", "maps-key"],
            "partner-signing-key",
        ):
            await drawer.put(name, Secret(f"{name}-value".encode()), Facts())
        await drawer.put("aws-reports", Secret(b'{"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "aws-value"}'), Facts())


def _elliptic() -> str:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(*PEM).decode()


def _sealed(found: re.Match[str]) -> str:
    """What somebody would have sealed now, under the key of the test."""
    key = LocalKey("2026-11", Secret(VARIABLES["GATEWAY_VAULT_KEY"].encode()))
    return found[1] + Ring([key], time.time).seal(entry(found[1].strip(" :")), Secret(b"legacy-value"))


def _empty_crl(ca: trustme.CA) -> bytes:
    key = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(ca.cert_pem.bytes()).subject
    now = datetime.now(UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer).last_update(now).next_update(now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def loaded(house: Path) -> Loaded:
    return load([house / "config.yaml"], environ=VARIABLES)


def overlays() -> list[str]:
    """The alternatives that cannot stand beside what they replace."""
    return [line.removeprefix("# or: ") for line in EXAMPLE.read_text().splitlines() if line.startswith("# or: ")]


def test_the_example_is_sound(loaded: Loaded) -> None:
    assert [str(problem) for problem in loaded.errors] == []
    assert loaded.settings is not None


def test_nothing_in_the_example_is_warned_about_but_the_credential_in_a_query(loaded: Loaded) -> None:
    assert [problem.path for problem in loaded.problems] == ["credentials.maps.inject"]


def test_lint_finds_nothing_in_the_example(loaded: Loaded) -> None:
    """But for what `check` tells as well: its routes show every key, and not each of them has a rule."""
    assert [str(problem) for problem in findings(loaded) if not LINTS[problem.rule].checked] == []


def test_a_start_would_find_no_error_in_the_example(loaded: Loaded) -> None:
    assert [str(problem) for problem in check(loaded) if problem.severity == "error"] == []


@pytest.mark.parametrize("overlay", overlays(), ids=lambda text: re.sub(r"\W+", "-", text)[:30])
def test_every_alternative_is_sound_as_an_overlay(house: Path, overlay: str) -> None:
    (house / "overlay.yaml").write_text(overlay)
    loaded = load([house / "config.yaml", house / "overlay.yaml"], environ=VARIABLES)
    assert [str(problem) for problem in loaded.errors] == []


def test_there_are_alternatives() -> None:
    assert len(overlays()) == 15


def model_fields(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[tuple[str, str]]:
    """(model, key) for every field of every model below this one."""
    if model in seen:
        return
    seen.add(model)
    for key, field in shape.fields_of(model).items():
        yield model.__qualname__, key
        yield from _below(field.annotation, seen)


def _below(annotation: Any, seen: set[type[BaseModel]]) -> Iterator[tuple[str, str]]:
    for kind in shape.members(annotation):
        if shape.is_model(kind):
            yield from model_fields(kind, seen)
        for argument in get_args(kind):
            if not isinstance(argument, (str, int)):
                yield from _below(argument, seen)


def used_fields(annotation: Any, value: Any) -> Iterator[tuple[str, str]]:
    """(model, key) for every key that the data uses."""
    steps: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in steps:
        for model in shape.models(annotation, value):
            if step in shape.fields_of(model) and set(value) <= set(shape.fields_of(model)):
                yield model.__qualname__, str(step)
        for kind in shape.children(annotation, value, step):
            yield from used_fields(kind, child)


def test_every_key_of_every_model_is_in_the_example() -> None:
    used = set(used_fields(Settings, read(EXAMPLE).value))
    for overlay in overlays():
        used |= set(used_fields(Settings, read("overlay", overlay).value))
    assert sorted(set(model_fields(Settings, set())) - used) == []


def test_every_line_that_gives_a_key_of_its_own_is_explained_once() -> None:
    lines = EXAMPLE.read_text().splitlines()
    seen: set[str] = set()
    unexplained = []
    for number, line in enumerate(lines):
        found = KEY.match(line)
        if found is None or found[1] in seen:
            continue
        seen.add(found[1])
        opens_section = line.rstrip().endswith(":")
        if not opens_section and " # " not in line and not lines[number - 1].startswith("#") and "{" not in line:
            unexplained.append(line.strip())
    assert unexplained == ["Content-Security-Policy: \"default-src 'none'; frame-ancestors 'none'\""]


def defaults() -> Iterator[tuple[int, str, Any]]:
    """Line number, key and written value of every line marked `(d)` right after its value."""
    for number, line in enumerate(EXAMPLE.read_text().splitlines(), 1):
        found = re.match(r"^\s+([a-z_]+): (.+?)  # \(d\)", line)
        if found:
            yield number, found[1], found[2]


def default_of(path: tuple[str | int, ...], value: Mapping[str, Any]) -> Any:
    [(annotation, parent)] = shape.at(Settings, value, path[:-1])[:1]
    [model] = shape.models(annotation, parent)
    return shape.fields_of(model)[str(path[-1])].get_default(call_default_factory=True)


def paths_by_line() -> dict[tuple[int, str], tuple[str | int, ...]]:
    document = read(EXAMPLE)
    found: dict[tuple[int, str], tuple[str | int, ...]] = {}

    def walk(value: Any, path: tuple[str | int, ...]) -> None:
        steps: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for step, child in steps:
            if isinstance(step, str):
                found[document.place((*path, step), key=True)[0], step] = (*path, step)
            walk(child, (*path, step))

    walk(document.value, ())
    return found


@pytest.mark.parametrize(("line", "key", "text"), list(defaults()), ids=lambda value: str(value)[:24])
def test_what_is_marked_as_the_default_is_the_default(line: int, key: str, text: str) -> None:
    path = paths_by_line()[line, key]
    default = default_of(path, read(EXAMPLE).value)
    if default is None:
        # The two defaults that are worked out when the configuration is built.
        assert (key, text) in {("allow_from", '[0.0.0.0/0, "::/0"]'), ("cookies", "drop")}
        return
    written = read("value", text).value
    if isinstance(default, float) and isinstance(written, str):
        assert parse_duration(written) == default
    elif isinstance(default, int) and isinstance(written, str):
        assert parse_size(written) == default
    else:
        assert written == default


def test_the_defaults_are_many_enough_to_mean_something() -> None:
    assert len(list(defaults())) > 50


def test_the_schema_line_stands_first_and_its_command_is_named() -> None:
    lines = EXAMPLE.read_text().splitlines()
    assert lines[0].startswith("# yaml-language-server: $schema=")
    assert any("gateway config schema" in line for line in lines)
