"""A configuration prepared in a process of its own is the one this process would make, or none."""

import asyncio
import marshal
import sys
from pathlib import Path

import pytest

from gateway.apart import framed, prepare, prepared, unframed
from gateway.build import build
from gateway.core.errors import ConfigError, Problem
from gateway.resources import dry
from gateway.settings import Loaded
from gateway.snapshot import Snapshot
from gateway.source import Handed, Source
from tests.house import POLICY, ROLES, Keys, config, written

ENVIRON = {"UPSTREAM_TOKEN": "canary-token-91"}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    Keys(tmp_path)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "policy.yaml").write_text(POLICY)
    (tmp_path / "policies" / "roles.yaml").write_text(ROLES)
    (tmp_path / "config.yaml").write_text(written(config(1)))
    return Source((tmp_path / "config.yaml",), (), ENVIRON)


def made(loaded: Loaded) -> Snapshot | list[Problem]:
    """A snapshot, or why there is none."""
    try:
        return build(loaded, dry())
    except ConfigError as error:
        return error.problems


def ended(path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another program stand in for the interpreter."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def test_what_is_prepared_there_serves_as_what_is_loaded_here(source: Source) -> None:
    here, there = source.load(), source.load_apart()
    assert there.compiled is not None
    assert (there.settings, there.generation, there.problems) == (here.settings, here.generation, here.problems)
    one, other = made(here), made(there)
    assert isinstance(one, Snapshot)
    assert isinstance(other, Snapshot)
    assert [(rule.name, rule.place) for rule in other.rules] == [(rule.name, rule.place) for rule in one.rules]
    assert one.rules


def test_what_is_wrong_is_told_with_the_same_places(source: Source, tmp_path: Path) -> None:
    wrong = (
        POLICY + "  - {name: bad, allow: [GET], when: \"subject.claims.org = 'x'\"}\n  - {name: bad, allow: any, permision: x}\n"
    )
    (tmp_path / "policies" / "policy.yaml").write_text(wrong)
    here, there = source.load(), source.load_apart()
    told = made(here)
    assert isinstance(told, list)
    assert len([problem for problem in told if problem.severity == "error"]) >= 2
    assert made(there) == told


def test_what_is_wrong_with_a_policy_file_as_yaml_is_told(source: Source, tmp_path: Path) -> None:
    (tmp_path / "policies" / "policy.yaml").write_text("a: [")
    found = source.load_apart()
    assert found.problems == source.load().problems
    assert found.errors


def test_no_secret_is_in_what_is_prepared(source: Source) -> None:
    made = prepared(source.paths, source.env_files, source.environ)
    assert made is not None
    assert b"canary-token-91" not in framed([made.layers, made.policies, *made.compiled])


def test_policies_compiled_for_other_routes_are_not_taken(source: Source, tmp_path: Path) -> None:
    made_before = prepare(source.paths, (), ENVIRON)
    document = config(1)
    document["routes"].append({"name": "later", "match": {"path": "/later"}, "upstream": "plain", "anonymous": True})
    (tmp_path / "config.yaml").write_text(written(document))
    layers = prepare(source.paths, (), ENVIRON).layers
    handed = Handed(framed([marshal.dumps(ENVIRON), layers, made_before.policies, *made_before.compiled])).load()
    told = made(handed)
    assert isinstance(told, list)
    assert any("changed while the configuration was read" in problem.message for problem in told)


def test_without_a_process_it_is_loaded_here(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    loaded = source.load_apart()
    assert loaded.compiled is None
    assert isinstance(made(loaded), Snapshot)


@pytest.mark.parametrize(
    "script",
    ["echo nonsense", "exit 1", "printf '\\000\\000\\000\\000\\000\\000\\377\\377x'", "head -c 24 /dev/zero", "true"],
    ids=["garbage", "fails", "cut short", "another version", "says nothing"],
)
def test_what_the_process_did_not_do_is_done_here(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    ended(tmp_path / "python", script, monkeypatch)
    assert source.load_apart().compiled is None
    assert source.load_apart().settings is not None


def test_a_process_that_is_killed_refuses_the_configuration(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(tmp_path / "python", "kill -9 $$", monkeypatch)
    with pytest.raises(ConfigError, match="ended by signal 9"):
        source.load_apart()


def test_a_process_that_does_not_end_is_killed_and_refuses_it(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(tmp_path / "python", "exec sleep 1000", monkeypatch)
    with pytest.raises(ConfigError, match=r"did not end within 0\.2 s"):
        prepared(source.paths, (), ENVIRON, timeout=0.2)


def test_a_module_of_the_working_directory_is_not_run(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gateway").mkdir()
    for name in ("gateway/__init__.py", "gateway/apart.py", "yaml.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    assert source.load_apart().compiled is not None
    assert not (tmp_path / "run").exists()


async def test_the_event_loop_goes_on_while_a_configuration_is_prepared(source: Source) -> None:
    preparing = asyncio.create_task(asyncio.to_thread(source.load_apart))
    turns = 0
    while not preparing.done():
        turns += 1
        await asyncio.sleep(0)
    assert (await preparing).compiled is not None
    assert turns > 100


@pytest.mark.parametrize("pieces", [[], [b""], [b"a", b"", b"long" * 100]])
def test_pieces_come_out_as_they_went_in(pieces: list[bytes]) -> None:
    assert [bytes(piece) for piece in unframed(framed(pieces))] == pieces


def test_what_is_handed_to_workers_is_compiled_already(source: Source) -> None:
    _, parcel = source.load_to_hand_over(apart=False)
    handed = Handed(parcel).load()
    assert handed.compiled is not None
    assert isinstance(made(handed), Snapshot)
