"""The page on sealed secrets, followed: its commands, in its order, on its files."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gateway.credentials.vault import text
from gateway.credentials.vault.model import Vault
from tests.conftest import ROOT
from tests.repository.test_docs import FENCE

PAGE = (ROOT / "docs" / "how-to" / "sealed-secrets.md").read_text(encoding="utf-8")
POLICY = "apiVersion: gateway/v1\nkind: Policy\nname: p\nroutes: [tickets]\nrules: [{name: all, allow: any}]\n"
KEYS = re.compile(r"vault:\n  keys:\n(?:    - .*\n)+")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def blocks(language: str) -> list[str]:
    return [block for found, block in FENCE.findall(PAGE) if found == language]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A shell in a folder of its own, where `gateway` is this checkout's."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(POLICY)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gateway").write_text(f'#!/bin/sh\nexec {sys.executable} -m gateway "$@"\n')
    (tmp_path / "bin" / "gateway").chmod(0o755)
    environ = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def shell(script: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-euc", script], cwd=tmp_path, env=environ, input=typed, capture_output=True, text=True, timeout=60
        )

    return shell


def test_the_page_can_be_followed(tmp_path: Path, run: Run) -> None:
    make_key, seal, verify, _, listing, _, revoke = blocks("sh")
    assert run(make_key).returncode == 0
    assert (tmp_path / "vault.env").stat().st_mode & 0o777 == 0o600
    config = tmp_path / "config.yaml"
    config.write_text(blocks("yaml")[0])
    sealed = run(seal, "a-ticket-token\n")
    assert (
        sealed.stderr.splitlines()[-1]
        == "tickets-token is sealed under the key 2026-11 in config.yaml; refer to it as {sealed: tickets-token}"
    )
    assert config.read_text().startswith(blocks("yaml")[0] + "\nsealed:\n  tickets-token: lgs1:2026-11:")
    checked = run(verify)
    assert (checked.returncode, checked.stderr) == (0, "1 sealed, all in order\n"), checked
    assert run(listing).stdout in PAGE
    more = run('echo "GATEWAY_VAULT_KEY_2027_02=$(gateway secrets key)" >> vault.env')
    assert more.returncode == 0
    config.write_text(KEYS.sub(lambda _: blocks("yaml")[2], config.read_text()))
    rotated = run("gateway secrets rotate --env-file vault.env")
    assert rotated.stderr == "1 sealed anew under the key 2027-02\nnothing in these files is under the key 2026-11 any more\n"
    assert run(revoke.strip() + " --env-file vault.env").returncode == 0
    assert "  tickets-token: revoked\n" in config.read_text()
    assert "a-ticket-token" not in "".join(path.read_text() for path in tmp_path.glob("*.*"))


def test_the_pieces_of_the_page_are_sections_as_they_are_read() -> None:
    kept_elsewhere = blocks("yaml")[3]
    assert "transit:" in kept_elsewhere
    for piece in (blocks("yaml")[2], kept_elsewhere):
        assert Vault.model_validate(yaml.safe_load(piece)["vault"]).keys


def test_the_text_on_the_page_is_well_formed() -> None:
    """It is what `seal` would have written: its key is gone."""
    written = blocks("yaml")[1].splitlines()[1].removeprefix("  tickets-token: ")
    assert str(text.value(written)) == written
