"""Secret references: read at load, files again when they change, never shown."""

import os
from pathlib import Path

import pytest

from gateway.config.local import MAX_BYTES, FileSource
from gateway.config.secrets import Secrets
from gateway.config.values import EnvSecret, FileSecret
from gateway.core.errors import DependencyDown


class Counted:
    """Metrics that remember."""

    def __init__(self) -> None:
        self.counts: list[tuple[str, dict[str, str]]] = []

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self.counts.append((name, labels))

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        raise AssertionError(name)


def env(name: str) -> EnvSecret:
    return EnvSecret(env=name)


def file(path: Path | str) -> FileSecret:
    return FileSecret(file=Path(path))


def test_a_variable_is_read() -> None:
    source = Secrets({"A": "value "})(env("A"))
    assert source.current().reveal() == b"value "
    assert source.name == "env:A"


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({}, r"the variable A is not set \(set it, or name a file of variables with --env-file\)"),
        ({"A": ""}, "the variable A is empty"),
    ],
    ids=["unset", "empty"],
)
def test_a_variable_without_a_value_is_refused(known: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Secrets(known)(env("A"))


CONTENTS = {
    "plain": (b"value", b"value"),
    "one line break is dropped": (b"value\n", b"value"),
    "only one": (b"value\n\n", b"value\n"),
    "windows line break": (b"value\r\n", b"value"),
    "spaces stay": (b" value \n", b" value "),
    "any bytes": (b"\x00\xff", b"\x00\xff"),
    "largest": (b"x" * MAX_BYTES, b"x" * MAX_BYTES),
}


@pytest.mark.parametrize(("content", "value"), CONTENTS.values(), ids=CONTENTS.keys())
def test_a_file_is_read_without_one_line_break_at_its_end(tmp_path: Path, content: bytes, value: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    source = Secrets({})(file(path))
    assert source.current().reveal() == value
    assert source.name == f"file:{path}"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"\r\n", "is empty"), (b"x" * (MAX_BYTES + 1), "is larger than 64 KiB")],
    ids=["empty", "line break only", "windows line break only", "too large"],
)
def test_a_file_without_a_usable_value_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Secrets({})(file(path))


def test_what_is_no_file_is_refused_and_waited_for_never(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path, "Is a directory"),
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path / "no", "No such file"),
    ):
        with pytest.raises(ValueError, match=message):
            Secrets({})(file(path))


@pytest.mark.parametrize(
    "path", ["/run/secrets/*", "/run/secrets/?", "/run/[a]", "/run/../etc/shadow", "../x", "/a/..", "/a\nb", "**"]
)
def test_a_reference_names_one_plain_file(path: str) -> None:
    with pytest.raises(ValueError, match="one plain path"):
        Secrets({})(file(path))


@pytest.mark.parametrize("path", ["..data/x", "a..b", "..", "..."])
def test_dots_inside_a_name_are_part_of_it(tmp_path: Path, path: str) -> None:
    if path == "..":
        with pytest.raises(ValueError, match="one plain path"):
            Secrets({})(file(tmp_path / path))
        return
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text("value")
    assert Secrets({})(file(tmp_path / path)).current().reveal() == b"value"


def test_the_same_reference_is_the_same_source(tmp_path: Path) -> None:
    secrets = Secrets({"A": "x"})
    assert secrets(env("A")) is secrets(env("A"))


def test_a_replaced_file_is_picked_up(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("one")
    secrets = Secrets({})
    source = secrets(file(path))
    assert secrets.refresh() == 0
    (tmp_path / "next").write_text("two")
    (tmp_path / "next").replace(path)
    assert secrets.refresh() == 1
    assert source.current().reveal() == b"two"
    assert secrets.refresh() == 0


def test_a_kubernetes_mount_that_swaps_its_link_is_picked_up(tmp_path: Path) -> None:
    for name in ("..1", "..2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(name)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "token").symlink_to("..data/token")
    secrets = Secrets({})
    source = secrets(file(tmp_path / "token"))
    (tmp_path / "..tmp").symlink_to("..2")
    (tmp_path / "..tmp").replace(tmp_path / "..data")
    assert secrets.refresh() == 1
    assert source.current().reveal() == b"..2"


def test_the_last_good_value_outlives_its_file_and_the_failure_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "secret"
    path.write_text("hunter2")
    metrics = Counted()
    secrets = Secrets({}, metrics)
    source = secrets(file(path))
    path.unlink()
    assert secrets.refresh() == 0
    assert secrets.refresh() == 0
    assert source.current().reveal() == b"hunter2"
    assert metrics.counts == [("gateway.secret.refresh_failures", {"source": f"file:{path}"})] * 2
    assert [record.message for record in caplog.records] == ["secret not refreshed, the last value stays"]
    path.write_text("")
    assert secrets.refresh() == 0
    assert source.current().reveal() == b"hunter2"
    path.write_text("hunter3")
    assert secrets.refresh() == 1
    assert source.current().reveal() == b"hunter3"
    assert "hunter" not in caplog.text


def test_a_file_written_again_with_the_same_value_is_no_change(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("same\n")
    secrets = Secrets({})
    before = secrets(file(path)).current()
    path.write_text("same")
    assert secrets.refresh() == 0
    assert secrets(file(path)).current() is before


def test_a_source_that_was_never_read_has_no_value(tmp_path: Path) -> None:
    with pytest.raises(DependencyDown):
        FileSource(str(tmp_path / "never")).current()


@pytest.mark.parametrize(("mode", "exposed"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)], ids=oct)
def test_a_file_that_everybody_may_read_is_noticed(tmp_path: Path, mode: int, exposed: bool) -> None:
    path = tmp_path / "secret"
    path.write_text("x")
    path.chmod(mode)
    secrets = Secrets({"A": "x"})
    secrets(file(path))
    secrets(env("A"))
    assert secrets.exposed(file(path)) is exposed
    assert secrets.exposed(env("A")) is False


def test_nothing_shows_a_value(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("hunter2")
    secrets = Secrets({"A": "hunter3"})
    shown = "".join(
        map(repr, (secrets, secrets(env("A")), secrets(file(path)), secrets(env("A")).current(), vars(secrets(file(path)))))
    )
    assert "hunter" not in shown
