"""The cookbook: every recipe loads without a warning, its cases pass, and they would notice a mistake in any of its rules."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from docs import generate
from gateway.authz.cases import run
from gateway.authz.document import PolicyDocuments
from gateway.authz.policy import Policies
from gateway.cli.check import built
from gateway.cli.policy_lint import findings
from gateway.rehearsal import Rehearsal, rehearse, see
from gateway.settings import Loaded
from gateway.settings.load import load
from tests.recipes import COOKBOOK, RECIPES, compiled, enforced, is_noticed, mutants, questions

PAGES = sorted(COOKBOOK.glob("*.md"))
each_recipe = pytest.mark.parametrize("folder", RECIPES, ids=lambda folder: folder.name)


@dataclass(frozen=True, slots=True)
class Cooked:
    """A recipe as it was loaded."""

    loaded: Loaded
    rehearsal: Rehearsal

    def policies(self, documents: PolicyDocuments) -> Policies:
        """Other documents in the place of the recipe's."""
        assert self.loaded.settings is not None
        return compiled(documents, self.rehearsal, self.loaded.settings)


@cache
def cooked(folder: Path) -> Cooked:
    loaded = load([folder / "config.yaml"], environ=generate.ENVIRON)
    return Cooked(loaded, rehearse(loaded))


@each_recipe
def test_a_recipe_is_sound_without_a_warning(folder: Path) -> None:
    loaded = load([folder / "config.yaml"], environ=generate.ENVIRON)
    assert [str(problem) for problem in [*built(loaded), *findings(loaded)]] == []


@each_recipe
def test_the_cases_of_a_recipe_pass_and_see_every_rule_in_both_outcomes(folder: Path) -> None:
    recipe = cooked(folder)
    report = run(recipe.rehearsal.documents, recipe.rehearsal.policies, recipe.rehearsal.match, see=see)
    assert [
        f"{result.place}: {result.case}: {result.subject}: {result.message}" for result in report.results if result.message
    ] == []
    assert report.passed > 0
    assert [coverage.rule for coverage in report.coverage if not coverage.complete] == []


@each_recipe
def test_the_cases_of_a_recipe_notice_every_mistake(folder: Path) -> None:
    recipe = cooked(folder)
    asked = questions(recipe.rehearsal)
    assert not is_noticed(asked, recipe.rehearsal.policies)
    wrong = list(mutants(recipe.rehearsal.documents))
    assert wrong
    assert [each.what for each in wrong if not is_noticed(asked, recipe.policies(each.documents))] == []


@each_recipe
def test_a_shadow_rule_of_a_recipe_would_change_an_answer(folder: Path) -> None:
    recipe = cooked(folder)
    documents = recipe.rehearsal.documents
    shadows = any("shadow" in (each.model.mode, rule.mode) for each in documents.policies for rule in each.model.rules)
    assert is_noticed(questions(recipe.rehearsal), recipe.policies(enforced(documents))) is shadows


def test_there_are_at_least_twenty_recipes() -> None:
    assert len(RECIPES) >= 30


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_quotes_is_what_is_tested_and_what_its_commands_print_is_what_it_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert generate.cooked(text) == text, "run `make docs`"


def test_every_recipe_is_quoted_and_told_how_to_try() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    quoted = set(re.findall(r"^# recipes/([\w-]+)/policies/", pages, re.MULTILINE))
    assert quoted == {folder.name for folder in RECIPES}
    linked = re.findall(r"\]\(recipes/([\w-]+)/?\)", pages)
    assert sorted(set(linked)) == sorted(folder.name for folder in RECIPES)


def test_recipes_hold_nothing_but_a_configuration_policies_and_cases() -> None:
    kinds = re.compile(r"config\.yaml|api-keys\.yaml|policies/[\w-]+\.yaml|schemas/[\w-]+\.json")
    found = [file.relative_to(folder).as_posix() for folder in RECIPES for file in folder.rglob("*") if file.is_file()]
    assert [file for file in found if not kinds.fullmatch(file)] == []
