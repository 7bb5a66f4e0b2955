"""The page on rotation: its configuration is taken where its secret is stored, and its hook is a program that a shell reads."""

import base64
import subprocess
import time
from pathlib import Path

import yaml

from gateway.core.secret import Secret
from gateway.credentials.rotation.model import Rotate
from gateway.credentials.stored.drawer import Drawer, Facts
from gateway.credentials.vault.keys import LocalKey
from gateway.credentials.vault.ring import Ring
from gateway.settings import load
from tests.pages import blocks
from tests.storing import Beside

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "rotation.md").read_text(encoding="utf-8")
KEY = base64.b64encode(bytes(range(32))).decode()


async def test_the_configuration_of_the_page_is_taken_as_it_stands(tmp_path: Path) -> None:
    configuration, *_ = blocks(PAGE, "yaml")
    (tmp_path / "config.yaml").write_text(configuration)
    (tmp_path / "policies").mkdir()
    async with Beside(tmp_path / "latchgate.db") as beside:
        drawer = Drawer(beside.rows, Ring([LocalKey("2026-11", Secret(KEY.encode()))], time.time), time.time)
        await drawer.put("tickets-token", Secret(b"a-token-of-the-page"), Facts())
    loaded = load([tmp_path / "config.yaml"], environ={"GATEWAY_VAULT_KEY": KEY})
    assert [str(problem) for problem in loaded.errors] == []


def test_the_providers_of_the_page_are_taken_as_they_stand() -> None:
    _, *providers = blocks(PAGE, "yaml")
    assert [Rotate.model_validate(yaml.safe_load(each)["rotate"]).provider is not None for each in providers] == [True, True]


def test_the_hook_of_the_page_is_a_program_that_a_shell_reads() -> None:
    [hook] = blocks(PAGE, "bash")
    subprocess.run(["/bin/sh", "-n"], input=hook, text=True, check=True, timeout=10)
