"""README, tutorial and how-to pages: every configuration is one the gateway takes, every command one it has.

A YAML block that holds `version: 1` is a whole configuration; one whose first line is a comment naming a file is that file,
beside it; any other is a piece, laid over each whole configuration of its page as a second `--config` file would be.
"""

import base64
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
import typer

from docs.reasons import MEANING
from gateway.cli import assemble
from gateway.cli.check import built, failures
from gateway.demo.play import STEPS, curl
from gateway.settings.load import load
from tests.githubish import Github
from tests.issuer import EcKey, jwks
from tests.pages import sealed
from tests.pki import Pki

ROOT = Path(__file__).parents[2]
README = Path("README.md")
TUTORIAL = Path("docs/tutorials/first-tool-api.md")
PAGES = [
    README,
    *(file.relative_to(ROOT) for kind in ("tutorials", "how-to") for file in sorted((ROOT / "docs" / kind).glob("*.md"))),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# ([\w./-]+\.(?:yaml|json))\n")
VARIABLE = re.compile(r"\{env: (\w+)\}")
SECRET = re.compile(r"\{file: (secrets/[\w-]+)\}")
RANDOM = "k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u"
HOOK = {"STANDARD_WEBHOOK_SECRET": f"whsec_{base64.b64encode(RANDOM.encode()).decode()}"}
VALUES = HOOK | {"FRONTEND_URL": "https://app.example.com", "GATEWAY_VAULT_KEY": base64.b64encode(RANDOM.encode()).decode()}


def text(page: Path) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: Path, *languages: str) -> list[str]:
    return [block for language, block in FENCE.findall(text(page)) if language in languages]


def is_whole(block: str) -> bool:
    return re.search(r"^version: 1$", block, re.MULTILINE) is not None


def is_file(block: str) -> bool:
    return NAMED.match(block) is not None and not is_whole(block)


def whole(page: Path) -> list[str]:
    return [block for block in blocks(page, "yaml") if is_whole(block)]


FOLLOWED = (Path("docs/how-to/sealed-secrets.md"), Path("docs/how-to/rotation.md"))
"""Their configurations hold what only their own commands make: test_sealed_secrets.py and test_rotation.py follow them."""
CONFIGURATIONS = [(page, number) for page in PAGES if page not in FOLLOWED for number in range(len(whole(page)))]


@pytest.fixture(scope="module")
def furniture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates and other files that pages name and a reader has."""
    folder = tmp_path_factory.mktemp("furniture")
    (folder / "certs").mkdir()
    pki = Pki(folder / "certs")
    pki.key.chmod(0o600)
    for name in ("idp-ca", "upstream-ca", "redis-ca", "billing-ca", "spire-bundle", "cluster-ca"):
        shutil.copy(pki.client_ca_file, folder / "certs" / f"{name}.crt")
    shutil.copy(pki.certificate, folder / "certs" / "gateway-client.crt")
    shutil.copy(pki.key, folder / "certs" / "gateway-client.key")
    application = pki.ca.issue_cert("latchgate", key_type=trustme.KeyType.RSA)
    (folder / "certs" / "graph.crt").write_bytes(application.cert_chain_pems[0].bytes())
    (folder / "certs" / "graph.key").write_bytes(application.private_key_pem.bytes())
    (folder / "certs" / "graph.key").chmod(0o600)
    for name in ("reader", "writer"):
        shutil.copy(pki.certificate, folder / "certs" / f"{name}.crt")
        shutil.copy(pki.key, folder / "certs" / f"{name}.key")
    pki.revoke()
    (folder / "api-keys.yaml").write_text("[]\n")
    for name in ("secrets", "policies", "keys"):
        (folder / name).mkdir()
    key = Github().pem
    (folder / "keys" / "github-app.pem").write_text(key)
    (folder / "keys" / "example.org.json").write_bytes(jwks(EcKey().jwk(use="jwt-svid")))
    account = {"type": "service_account", "client_email": "gw@example.com", "private_key_id": "k", "private_key": key}
    (folder / "keys" / "google.json").write_text(json.dumps(account))
    return folder


def furnish(folder: Path, furniture: Path, page: Path) -> dict[str, str]:
    """Put beside a configuration what its page shows and names. Gives the environment."""
    shutil.copytree(furniture, folder, dirs_exist_ok=True)
    for block in blocks(page, "yaml", "json"):
        if is_file(block):
            named = NAMED.match(block)
            assert named is not None
            (folder / named[1]).parent.mkdir(parents=True, exist_ok=True)
            (folder / named[1]).write_text(block if named[1].endswith(".yaml") else block[named.end() :])
    for name in SECRET.findall(text(page)):
        (folder / name).write_text(RANDOM)
        (folder / name).chmod(0o600)
    return {name: RANDOM[number:] + RANDOM[:number] for number, name in enumerate(VARIABLE.findall(text(page)))} | {
        **VALUES,
        "BILLING_WRITER_KEY": (furniture / "certs" / "writer.key").read_text(),
    }


@pytest.mark.parametrize(("page", "number"), CONFIGURATIONS, ids=str)
def test_every_whole_configuration_is_taken_as_it_stands(page: Path, number: int, tmp_path: Path, furniture: Path) -> None:
    environ = furnish(tmp_path, furniture, page)
    (tmp_path / "config.yaml").write_text(sealed(whole(page)[number], VALUES["GATEWAY_VAULT_KEY"]))
    loaded = load([tmp_path / "config.yaml"], environ=environ)
    assert [str(problem) for problem in built(loaded) if problem.severity == "error"] == []
    assert [str(failure) for failure in failures(loaded)] == []


@pytest.mark.parametrize(("page", "number"), CONFIGURATIONS, ids=str)
def test_every_piece_fits_over_the_configuration_of_its_page(page: Path, number: int, tmp_path: Path, furniture: Path) -> None:
    environ = furnish(tmp_path, furniture, page)
    (tmp_path / "config.yaml").write_text(sealed(whole(page)[number], VALUES["GATEWAY_VAULT_KEY"]))
    wrong = []
    for block in blocks(page, "yaml"):
        if not is_whole(block) and not is_file(block):
            (tmp_path / "piece.yaml").write_text(f"version: 1\n{block}")
            loaded = load([tmp_path / "config.yaml", tmp_path / "piece.yaml"], environ=environ)
            wrong += [str(problem) for problem in built(loaded) if problem.severity == "error"]
    assert wrong == []


def test_a_configuration_with_a_mistake_would_be_noticed(tmp_path: Path, furniture: Path) -> None:
    """A guard on the guard."""
    environ = furnish(tmp_path, furniture, README)
    (tmp_path / "config.yaml").write_text(whole(README)[0].replace("strip_prefix: /tickets", "strip_prefix: /tickts"))
    assert any(problem.severity == "error" for problem in built(load([tmp_path / "config.yaml"], environ=environ)))


def test_pages_without_a_whole_configuration_have_no_pieces() -> None:
    """A piece that is laid over nothing is not tested."""
    assert [page for page in PAGES if not whole(page) and blocks(page, "yaml")] == []


@pytest.mark.parametrize("page", [README, TUTORIAL], ids=str)
def test_gateway_check_has_nothing_to_say_about_what_newcomers_copy(page: Path, tmp_path: Path, furniture: Path) -> None:
    environ = furnish(tmp_path, furniture, page)
    (tmp_path / "config.yaml").write_text(whole(page)[0])
    command = [sys.executable, "-m", "gateway", "check", "--strict"]
    found = subprocess.run(
        command, cwd=tmp_path, env=environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60
    )
    assert (found.stdout, found.stderr, found.returncode) == ("no problems\n", "", 0)
    assert "$ gateway check\nno problems\n" in text(page)


def invocations() -> list[tuple[Path, str]]:
    """Every line of a page that calls the gateway."""
    lines = [(page, line) for page in PAGES for block in blocks(page, "sh", "console") for line in block.splitlines()]
    called = re.compile(r"(?:^\$ |^|\$\(|&& |; )(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?gateway( [^)|<>&;#]*)")
    return [(page, found[1].strip()) for page, line in lines for found in called.finditer(line)]


@pytest.mark.parametrize(("page", "arguments"), invocations(), ids=lambda value: str(value).replace(" ", "_"))
def test_every_command_and_option_exists(page: Path, arguments: str) -> None:
    words = shlex.split(arguments)
    command = typer.main.get_command(assemble(words))
    context = command.make_context("gateway", words, resilient_parsing=False)
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, context._protected_args + context.args)
        context = command.make_context(name, rest, parent=context)


def test_the_commands_of_the_pages_are_found() -> None:
    """A guard on the pattern that finds them."""
    assert {arguments.split()[0] for _, arguments in invocations()} >= {"demo", "check", "serve", "keys", "policy", "healthcheck"}


def test_the_readme_is_short() -> None:
    assert len(text(README).splitlines()) <= 200


def test_the_requests_in_the_readme_are_those_of_the_demo() -> None:
    shown = [line.removeprefix("$ ") for line in text(README).splitlines() if line.startswith("$ curl")]
    assert shown == [curl(step, "http://127.0.0.1:8080") for step in STEPS]
    table = [line.split() for line in text(README).splitlines() if line.startswith("ok    ")]
    assert [(int(row[1]), row[-1]) for row in table] == [(step.expected, step.target) for step in STEPS]


@pytest.mark.parametrize(
    "page", [*PAGES, *(file.relative_to(ROOT) for file in sorted((ROOT / "docs/explanation").glob("*.md")))], ids=str
)
def test_reasons_in_the_pages_exist(page: Path) -> None:
    assert set(re.findall(r"urn:latchgate:problem:([a-z-]+)", text(page))) <= {str(reason) for reason in MEANING}
