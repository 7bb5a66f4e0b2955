"""Documents read in a process of their own."""

import asyncio
import sys
from pathlib import Path

import pytest

from gateway.config.apart import read_apart, read_each

POLICY = "name: p\nwhen: |\n  a ==\n  'b'\n"


def test_documents_read_apart_are_the_same_as_those_read_here(tmp_path: Path) -> None:
    texts = ["a: 1\nb: {c: [x, 'y']}\n", POLICY, "a: *x\nb: 1\nb: 2", "", "[", "\x00"]
    paths = [tmp_path / f"{number} ä.yaml" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    paths.append(tmp_path / "absent.yaml")
    here, apart = read_each(paths), read_apart(paths)
    assert [(one.file, one.text, one.value, one.marks, one.problems) for one in apart] == [
        (one.file, one.text, one.value, one.marks, one.problems) for one in here
    ]
    assert apart[1].locate(("when",), 5) == (4, 3)


def test_nothing_to_read_starts_no_process() -> None:
    assert read_apart([]) == []


def test_without_a_process_the_documents_are_read_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    path = tmp_path / "a.yaml"
    path.write_text("a: 1")
    assert read_apart([path])[0].value == {"a": 1}


def test_a_module_of_the_working_directory_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gateway" / "config").mkdir(parents=True)
    for name in ("gateway/__init__.py", "gateway/config/__init__.py", "gateway/config/apart.py", "yaml.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    (tmp_path / "a.yaml").write_text("a: 1")
    monkeypatch.chdir(tmp_path)
    assert read_apart([Path("a.yaml")])[0].value == {"a": 1}
    assert not (tmp_path / "run").exists()


async def test_the_event_loop_goes_on_while_a_large_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    rule = "  - name: r{0}\n    allow: [GET, HEAD]\n    permission: messages:read\n    when: subject.claims.org == resource.params.org\n"
    path.write_text("rules:\n" + "".join(rule.format(number) for number in range(2000)))
    reading = asyncio.create_task(asyncio.to_thread(read_apart, [path]))
    turns = 0
    while not reading.done():
        turns += 1
        await asyncio.sleep(0)
    [document] = await reading
    [here] = read_each([path])
    assert (document.value, document.marks) == (here.value, here.marks)
    assert turns > 100
