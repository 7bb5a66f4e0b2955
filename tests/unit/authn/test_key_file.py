"""The file of API keys: read with positions, changed without losing anything."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn import key_entry, key_file, key_format
from gateway.authn.key_entry import KeyEntry
from gateway.core.errors import ConfigError
from tests.fakes import stored_key
from tests.issuer import NOW, PEPPER

DAY = 86400.0


def create(path: Path, name: str = "ci", **more: object) -> tuple[str, KeyEntry]:
    return stored_key(path, PEPPER, prefix="lgk", name=name, now=NOW, **more)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "api-keys.yaml"


def test_a_created_key_is_stored_as_a_hash_only(path: Path) -> None:
    key, entry = create(path, subject="svc", roles=["reader"], permissions=["a:read"], expires=90 * DAY)
    text = path.read_text()
    assert key not in text
    assert key.split("_")[2] not in text
    assert key_file.load(path) == [entry]
    assert entry.hash == key_format.digest(PEPPER, key.encode())
    assert (entry.subject, entry.roles, entry.permissions) == ("svc", ["reader"], ["a:read"])
    assert key_entry.moment(str(entry.expires_at)) == NOW + 90 * DAY


def test_the_subject_is_the_name_unless_stated_and_roles_are_absent_unless_stated(path: Path) -> None:
    _, entry = create(path, "reporting")
    assert (entry.subject, entry.roles, entry.permissions, entry.expires_at) == ("reporting", None, None, None)


def test_the_file_is_for_its_owner_only_and_no_temporary_one_stays(path: Path) -> None:
    create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {each.name for each in path.parent.iterdir()} == {"api-keys.yaml", "api-keys.yaml.lock"}


def test_a_link_is_followed_not_replaced(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "real.yaml"
    target.write_text("")
    path.symlink_to(target)
    create(path)
    assert path.is_symlink()
    assert len(key_file.load(target)) == 1


def test_a_failed_write_leaves_the_file_as_it_was(path: Path, tmp_path: Path) -> None:
    create(path)
    before = path.read_bytes()
    blocked = tmp_path / "folder"
    blocked.mkdir()
    (blocked / "inside").write_text("x")
    with pytest.raises(OSError):
        key_file._replace(blocked, [])
    assert path.read_bytes() == before
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


def test_many_writers_at_once_lose_nothing(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = {entry.id for _, entry in pool.map(lambda number: create(path, f"n{number}"), range(40))}
    assert {entry.id for entry in key_file.load(path)} == ids
    assert len(ids) == 40


def _create_some(path: str, first: int) -> None:
    for number in range(first, first + 5):
        create(Path(path), f"n{number}")


def test_several_processes_at_once_lose_nothing(path: Path) -> None:
    context = get_context("spawn")
    processes = [context.Process(target=_create_some, args=(str(path), first * 5)) for first in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert {entry.name for entry in key_file.load(path)} == {f"n{number}" for number in range(15)}


def test_revoking_marks_the_entry_once_and_for_good(path: Path) -> None:
    _, entry = create(path)
    revoked = key_file.revoke(path, entry.id, NOW + 5)
    assert revoked.revoked_at == key_entry.written(NOW + 5)
    assert key_file.revoke(path, entry.id, NOW + 50).revoked_at == key_entry.written(NOW + 5)
    assert key_file.load(path) == [revoked]


@pytest.mark.parametrize("id", ["", "nobody", "000000000000", "*"])
def test_an_unknown_id_is_a_key_error_and_changes_nothing(id: str, path: Path) -> None:
    create(path)
    before = path.read_bytes()
    with pytest.raises(KeyError):
        key_file.revoke(path, id, NOW)
    with pytest.raises(KeyError):
        key_file.rotate(path, PEPPER, id, prefix="lgk", now=NOW, overlap=DAY)
    assert path.read_bytes() == before


def test_rotating_gives_the_same_subject_a_second_key_and_the_first_an_end(path: Path) -> None:
    _, old = create(path, subject="svc", roles=["reader"])
    key, new = key_file.rotate(path, PEPPER, old.id, prefix="lgk", now=NOW + 10, overlap=DAY)
    first, second = key_file.load(path)
    assert (first.id, first.expires_at) == (old.id, key_entry.written(NOW + 10 + DAY))
    assert second == new
    assert (new.subject, new.roles, new.name, new.expires_at) == ("svc", ["reader"], "ci", None)
    assert new.hash == key_format.digest(PEPPER, key.encode())


def test_the_rotated_key_lives_as_long_as_the_first_one_did(path: Path) -> None:
    _, old = create(path, expires=10 * DAY)
    _, new = key_file.rotate(path, PEPPER, old.id, prefix="lgk", now=NOW + 9.5 * DAY, overlap=DAY)
    assert new.expires_at == key_entry.written(NOW + 19.5 * DAY)
    assert key_file.load(path)[0].expires_at == old.expires_at, "rotation never prolongs the old key"


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_a_dead_key_is_not_rotated_back_to_life(end: str, path: Path) -> None:
    _, entry = create(path, expires=DAY)
    if end == "revoked":
        key_file.revoke(path, entry.id, NOW)
    with pytest.raises(KeyError):
        key_file.rotate(path, PEPPER, entry.id, prefix="lgk", now=NOW + 2 * DAY, overlap=DAY)


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"name": "a\u2028b"},
        {"subject": "\x00"},
        {"roles": [""]},
        {"permissions": ["a b"]},
        {"name": "n" * 257},
    ],
    ids=repr,
)
def test_values_that_could_not_be_read_again_are_refused(values: dict[str, object], path: Path) -> None:
    with pytest.raises(ConfigError):
        create(path, **({"name": "ci"} | values))  # type: ignore[arg-type]  # forwards any keyword
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n", "[]", "null"], ids=repr)
def test_a_file_without_entries_has_no_keys(text: str, path: Path) -> None:
    path.write_text(text)
    assert key_file.load(path) == []
    create(path)
    assert len(key_file.load(path)) == 1


def test_a_file_that_does_not_exist_has_no_keys(path: Path) -> None:
    assert key_file.load(path) == []


HASH = "hmac-sha256:" + "0" * 64
GOOD = f"- {{id: AAAAAAAAAAAA, name: a, hash: '{HASH}', subject: a}}\n"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        pytest.param("- [", ":", "not YAML", id="no YAML"),
        pytest.param("keys: []", ":1:1:", "", id="a mapping"),
        pytest.param(GOOD + "- {id: short, name: a, hash: x, subject: a}", ":2:", "", id="bad id"),
        pytest.param(GOOD + "- {}", ":2:", "required", id="empty entry"),
        pytest.param(GOOD.replace("}", ", role: [x]}"), ":1:", "unknown key 'role'", id="unknown key"),
        pytest.param(GOOD.replace("}", ", roles: x}"), ":1:", "list", id="roles are text"),
        pytest.param(GOOD.replace("}", ", expires_at: tomorrow}"), ":1:", "", id="bad time"),
        pytest.param(GOOD.replace("}", ", expires_at: '2027-02-30T00:00:00Z'}"), ":1:", "no such day", id="impossible day"),
        pytest.param(GOOD + GOOD, ":2:", "used twice", id="id twice"),
        pytest.param(GOOD.replace("name: a", "name: a, name: b"), ":1:", "duplicate key", id="duplicate key"),
        pytest.param(GOOD.replace(HASH, "lgk_the_key"), ":1:", "", id="a key where its hash belongs"),
        pytest.param("- &a {x: 1}\n- *a", ":1:", "anchor", id="anchor"),
    ],
)
def test_a_malformed_file_is_told_with_file_line_and_column(text: str, place: str, message: str, path: Path) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        key_file.load(path)
    assert f"{path}{place}" in str(caught.value)
    assert message in str(caught.value)
    before = path.read_bytes()
    with pytest.raises(ConfigError):
        create(path)
    assert path.read_bytes() == before


TEXTS = st.text(min_size=1, max_size=40).filter(str.isprintable)


@given(TEXTS, TEXTS, st.none() | st.lists(TEXTS, max_size=3), st.floats(0, 2e9))
def test_every_entry_that_can_be_written_is_read_the_same(name: str, subject: str, roles: list[str] | None, now: float) -> None:
    from gateway.config import document

    _, entry = key_entry.new_entry(PEPPER, prefix="lgk", name=name, subject=subject, roles=roles, now=now)
    found = document.parse("keys.yaml", key_file.render([entry, entry]))
    assert found.problems == []
    assert [KeyEntry.model_validate(each) for each in found.value] == [entry, entry]


@given(st.floats(0, 4e9))
def test_times_are_read_as_written(time: float) -> None:
    assert key_entry.moment(key_entry.written(time)) == int(time)


def test_the_owner_of_a_file_is_kept(path: Path) -> None:
    create(path)
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
    owner = path.stat().st_uid
    create(path)
    assert path.stat().st_uid == owner
