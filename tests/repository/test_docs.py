"""The documents: links lead somewhere, what is made from code is up to date, examples are sound, named tests exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from docs import generate
from docs.reasons import MEANING
from gateway.core.reason import Reason
from tests.repository.tree import ROOT, functions, tracked

PAGES = [file for file in tracked() if file.suffix == ".md" and "node_modules" not in file.parts]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def text(file: Path | str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def anchors(file: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", (ROOT / file).read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(FENCE.sub("", text(page))):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (ROOT / page.parent / target).resolve() if target else ROOT / page
        if not file.exists() or (anchor and anchor not in anchors(file.relative_to(ROOT))):
            broken.append(link)
    assert broken == []


def test_every_page_of_the_documentation_can_be_reached_from_its_index() -> None:
    index = text("docs/index.md")
    named = {
        str((ROOT / "docs" / link.partition("#")[0]).resolve().relative_to(ROOT)) for link in LINK.findall(index) if ":" not in link
    }
    pages = {page for page in PAGES if page.parts[0] == "docs" and page.name != "index.md"}
    assert [str(page) for page in pages if str(page) not in named and str(page.parent) not in named] == []


@pytest.mark.parametrize("page", generate.PAGES)
def test_reference_pages_are_what_the_code_says(page: str) -> None:
    assert text(Path("docs/reference") / page) == generate.render(page), "run `make docs`"


def test_every_reason_is_explained() -> None:
    assert set(MEANING) == set(Reason)
    listed = re.findall(r"^\| `([a-z-]+)` \|", text("docs/reference/errors.md"), re.MULTILINE)
    assert sorted(listed) == sorted(Reason)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_yaml_and_shell_in_documents_are_well_formed(page: Path) -> None:
    for language, block in FENCE.findall(text(page)):
        if language == "yaml":
            list(yaml.safe_load_all(block))
        if language == "sh":
            subprocess.run(["bash", "-n"], input=block, text=True, check=True, timeout=30)


def test_tests_named_in_the_threat_model_exist() -> None:
    named = NAMED_TEST.findall(text("THREAT_MODEL.md"))
    assert len(named) >= 60
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).is_file() or name not in {qualified.rpartition(".")[2] for qualified, _ in functions(Path(file))}
    ]
    assert missing == []


def test_every_threat_names_a_test() -> None:
    rows = [line for line in text("THREAT_MODEL.md").splitlines() if re.match(r"\| (?!---|asset|what )", line)]
    assert [row for row in rows if row.count("|") == 5 and not NAMED_TEST.search(row)] == []


def test_the_threat_model_has_every_room() -> None:
    rooms = {
        path.name.removesuffix(".py")
        for path in (ROOT / "gateway").iterdir()
        if path.is_dir() and (path / "__init__.py").is_file() and path.name not in ("core", "demo")
    }
    headings = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^## (.+)$", text("THREAT_MODEL.md"), re.MULTILINE))))
    assert rooms - headings == set()


def test_the_changelog_keeps_its_form() -> None:
    changelog = text("CHANGELOG.md")
    versions = re.findall(r"^## \[([^\]]+)\](.*)$", changelog, re.MULTILINE)
    assert versions[0] == ("Unreleased", "")
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", name) and re.fullmatch(r" - \d{4}-\d{2}-\d{2}", date) for name, date in versions[1:])
    kinds = set(re.findall(r"^### (.+)$", changelog, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("record", sorted((ROOT / "docs" / "decisions").glob("*.md")), ids=lambda record: record.stem)
def test_a_decision_record_is_short_and_says_what_would_reverse_it(record: Path) -> None:
    content = record.read_text()
    assert len(content.splitlines()) <= 40
    assert content.startswith(f"# {int(record.name[:4])}. ")
    for part in ("Situation", "Decision", "Cost", "What would reverse it"):
        assert f"**{part}.**" in content


def test_decision_records_are_numbered_without_gaps() -> None:
    numbers = sorted(int(record.name[:4]) for record in (ROOT / "docs" / "decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_older_guides_are_answered_row_by_row() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$", text("docs/explanation/older-guides.md"), re.MULTILINE)
    assert [int(row[0]) for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= 20


def test_make_lists_every_target() -> None:
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout
    declared = re.findall(r"^\.PHONY: (.+)$", text("Makefile"), re.MULTILINE)
    assert sorted(line.split()[0] for line in listed.splitlines()) == sorted(declared)


def test_the_pipeline_runs_what_a_person_runs() -> None:
    commands = [line for line in text(".ci/run").splitlines() if line and not line.startswith("#")]
    assert commands[-1] == "exec make test"


def test_the_generator_runs_by_its_path() -> None:
    """As `make docs` does, but it writes nothing: other tests read those pages."""
    subprocess.run([sys.executable, ROOT / "docs" / "generate.py", "--check"], cwd=ROOT, check=True, timeout=60)
