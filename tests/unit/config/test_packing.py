"""Documents for another process are the same there."""

from pathlib import Path

from gateway.config.packing import PIECE, pack, read_each, texts, unpack

POLICY = "name: p\nwhen: |\n  a ==\n  'b'\n"


def test_documents_unpacked_are_the_same_as_those_packed(tmp_path: Path) -> None:
    long = "rules:\n" + "".join(f"  - {{name: r{number}}}\n" for number in range(2 * PIECE + 1))
    contents = ["a: 1\nb: {c: [x, 'y']}\n", POLICY, "a: *x\nb: 1\nb: 2", "", "[", "\x00", long]
    paths = [tmp_path / f"{number} ä.yaml" for number in range(len(contents))]
    for path, text in zip(paths, contents, strict=True):
        path.write_text(text)
    here = read_each([*paths, tmp_path / "absent.yaml"])
    there = unpack(pack(here))
    assert [(one.file, one.text, one.value, one.marks, one.problems) for one in there] == [
        (one.file, one.text, one.value, one.marks, one.problems) for one in here
    ]
    assert there[1].locate(("when",), 5) == (4, 3)


def test_texts_keep_what_is_wrong_with_a_document(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\na: 2\n")
    [found] = texts(read_each([path]))
    assert (found.text, found.value, len(found.problems)) == ("a: 1\na: 2\n", None, 1)
