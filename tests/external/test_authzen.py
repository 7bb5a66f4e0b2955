"""The AuthZEN decisions as published, against the cases they were rewritten as: the same, in every version of the files."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

PUBLISHED = ROOT / "tests" / "policies" / "published"
NAMES = {"CiRmZDA2": "rick", "CiRmZDE2": "morty", "CiRmZDI2": "summer", "CiRmZDM2": "beth", "CiRmZDQ2": "jerry"}
FILES = sorted(["todo_decisions", *(f"todo_decisions-authorization-api-1_0-0{number}" for number in range(3))])
Decisions = set[tuple[str, str, str]]


def rewritten(name: str) -> Decisions:
    """(subject, request, effect) of all cases."""
    found: Decisions = set()
    for file in (PUBLISHED / name).glob("*_test.yaml"):
        for case in yaml.safe_load(file.read_text())["cases"]:
            found |= {(subject, case["request"], effect) for subject, effect in case["expect"].items()}
    return found


def subject(published: str) -> str:
    """By the identity's first characters, or by the mail address."""
    return NAMES.get(published[:8]) or published.partition("@")[0]


def todo(action: str, resource: dict[str, Any]) -> str:
    """The request that stands for an action; owners are in its path."""
    match action:
        case "can_read_user":
            return f"GET /users/{resource['id']}"
        case "can_read_todos":
            return "GET /todos"
        case "can_create_todo":
            return "POST /todos"
        case _:
            # An earlier version has the owner beside the resource, later ones among its properties.
            owner = resource.get("properties", resource)["ownerID"]
            # One version has lost the first digit of one id.
            number = f"7{resource['id'].removeprefix('7')}"
            return f"{'PUT' if action == 'can_update_todo' else 'DELETE'} /users/{owner}/todos/{number}"


def published(document: dict[str, Any]) -> Decisions:
    """What the file says, single decisions and those of batches."""
    found: Decisions = set()
    for one in document.get("evaluation") or document["decisions"]:
        asked = one["request"]
        found.add((subject(asked["subject"]["id"]), todo(asked["action"]["name"], asked["resource"]), effect(one["expected"])))
    for batch in document.get("evaluations", ()):
        asked = batch["request"]
        for item, answer in zip(batch_items(asked), batch["expected"], strict=True):
            found.add((subject(asked["subject"]["id"]), todo(item["action"]["name"], item["resource"]), effect(answer["decision"])))
    return found


def batch_items(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """What a batch leaves out stands above its items."""
    return [{"action": asked.get("action"), "resource": asked.get("resource")} | item for item in asked["evaluations"]]


def effect(allowed: bool) -> str:
    return "allow" if allowed else "deny"


@pytest.mark.parametrize("name", FILES)
def test_the_todo_decisions_are_those_published(vectors: Path, name: str) -> None:
    found = published(json.loads((vectors / "authzen" / f"{name}.json").read_text()))
    assert len(found) >= 36
    assert found <= rewritten("authzen_todo")


def test_no_todo_decision_is_ours_alone(vectors: Path) -> None:
    every = [published(json.loads((vectors / "authzen" / f"{name}.json").read_text())) for name in FILES]
    assert set().union(*every) == rewritten("authzen_todo")


def test_the_decisions_of_the_api_gateway_are_those_published(vectors: Path) -> None:
    document = json.loads((vectors / "authzen" / "api_gateway_decisions.json").read_text())
    found = set()
    for one in document["evaluation"]:
        asked = one["request"]
        path = asked["resource"]["id"].replace("{userId}", "a-user").replace("{todoId}", "a-todo")
        found.add((subject(asked["subject"]["id"]), f"{asked['action']['name']} {path}", effect(one["expected"])))
    assert found == rewritten("authzen_gateway")
    assert len(found) == 25
