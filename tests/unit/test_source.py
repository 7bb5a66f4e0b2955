"""A configuration handed over is the configuration that was read, whatever happens to the files meanwhile."""

from pathlib import Path

import pytest

from gateway.source import Handed, Source
from tests.house import POLICY, ROLES, Keys, config, written


@pytest.fixture
def source(tmp_path: Path) -> Source:
    Keys(tmp_path)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "policy.yaml").write_text(POLICY)
    (tmp_path / "policies" / "roles.yaml").write_text(ROLES)
    (tmp_path / "config.yaml").write_text(written(config(1)))
    (tmp_path / "over.yaml").write_text("security_headers: {X-From: '${WHO}'}\n")
    (tmp_path / "env").write_text("WHO=file\n")
    return Source((tmp_path / "config.yaml", tmp_path / "over.yaml"), (tmp_path / "env",), {"UPSTREAM_TOKEN": "t"})


@pytest.mark.parametrize("apart", [False, True], ids=["here", "in a process of its own"])
def test_what_is_handed_over_is_what_was_read(source: Source, apart: bool) -> None:
    loaded, parcel = source.load_to_hand_over(apart=apart)
    handed = Handed(parcel).load()
    assert loaded.errors == []
    assert (handed.settings, handed.generation) == (loaded.settings, loaded.generation)
    assert [(document.file, document.text) for document in handed.policies] == [
        (document.file, document.text) for document in loaded.policies
    ]
    assert handed.settings is not None
    assert handed.settings.security_headers["X-From"] == "file"


def test_edits_new_files_and_variables_do_not_count(source: Source, tmp_path: Path) -> None:
    loaded, parcel = source.load_to_hand_over(apart=False)
    (tmp_path / "config.yaml").write_text("version: 1\nrouts: [")
    (tmp_path / "policies" / "policy.yaml").unlink()
    (tmp_path / "policies" / "new.yaml").write_text("nonsense: [")
    (tmp_path / "env").write_text("WHO=another\n")
    handed = Handed(parcel).load_apart()
    assert (handed.problems, handed.generation, handed.settings) == (loaded.problems, loaded.generation, loaded.settings)


def test_places_of_values_are_kept(source: Source) -> None:
    loaded, parcel = source.load_to_hand_over(apart=False)
    handed = Handed(parcel).load()
    path = ("routes", 1, "match", "path")
    assert handed.place(path) == loaded.place(path)
