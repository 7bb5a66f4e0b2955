"""What subjects of a case see of an upstream's answer: shaped by the code that shapes live answers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.authz.cases import Result, run
from gateway.authz.compile import compile_policies
from gateway.authz.policy import Policies
from gateway.core.errors import Problem
from gateway.rehearsal import see
from tests.asking import ISSUERS, MESSAGES, documents, policy

RULES = policy(
    """
    - {name: masked, allow: [GET], when: "subject.id == 'sue'", then: {redact: {style: last4, response: [$..iban, {path: $.key, style: hash}]}}}
    - {name: listed, allow: [GET], when: "subject.id == 'pat'", then: {response: {fields: ['$.items[*].id', $.next]}}}
    - {name: own, allow: [GET], when: "subject.id == 'own'", then: {require_response: response.body.of  ==  subject.id}}
    - {name: hid, allow: [GET], when: "subject.id == 'hid'", then: {require_response: {when: response.body.of == subject.id, hidden: true}}}
    - {name: all, allow: [GET, POST], when: "subject.id == 'boss'"}
    """
)
SUBJECTS = "subjects: {sue: {}, pat: {}, own: {}, hid: {}, boss: {}}\n"


def match(method: str, path: str, host: str) -> tuple[str, Mapping[str, str]] | None:
    assert (method.isupper(), path, host) == (True, "/x", "gateway.test")
    return "messages.get", {"org_id": "org_9"}


def furnished(folder: Path, case: str) -> tuple[Policies | None, list[Problem], Any]:
    folder.joinpath("1.yaml").write_text(RULES)
    folder.joinpath("p_test.yaml").write_text(f"apiVersion: gateway/v1\nkind: PolicyTest\nname: t\n{SUBJECTS}cases:\n  - {case}\n")
    found = documents(folder)
    return (*compile_policies(found, routes=[MESSAGES], issuers=ISSUERS, has_key=True, now=lambda: 0.0), found)


def results(folder: Path, case: str, *, shapes: bool = True) -> tuple[Result, ...]:
    policies, problems, found = furnished(folder, case)
    assert policies is not None, [str(problem) for problem in problems]
    return run(found, policies, match, see=see if shapes else None).results


def failures(folder: Path, who: str, response: str, sees: str, *, request: str = "GET /x", shapes: bool = True) -> str:
    case = f"{{request: {request}, response: {response}, expect: {{{who}: allow}}, sees: {{{who}: {sees}}}}}"
    found = results(folder, case, shapes=shapes)
    return next(result.message for result in found if result.subject == who)


@pytest.mark.parametrize(
    ("who", "response", "sees"),
    [
        ("boss", "{body: {iban: x, n: [1, 2.5, null, true]}}", "{body: {iban: x, n: [1, 2.5, null, true]}}"),
        ("boss", "{body: null}", "{body: null}"),
        ("boss", "{status: 204, body: {a: 1}}", "empty"),
        ("boss", "{}", "empty"),
        ("boss", "{content_type: text/html, body: <p>}", "{body: <p>}"),
        ("sue", "{body: {a: [{iban: DE1234567890}], iban: 12}}", "{body: {a: [{iban: '****7890'}], iban: '****'}}"),
        ("sue", "{body: {key: open, other: ü}}", "{body: {key: 'hmac:', other: ü}}"),
        ("sue", "{content_type: text/html, body: <p>}", "withheld"),
        ("sue", "{status: 502, content_type: text/html, body: <p>}", "empty"),
        ("sue", "{status: 206, body: {a: 1}}", "withheld"),
        ("sue", "{content_type: application/problem+json, body: text}", "{body: text}"),
        (
            "sue",
            '{content_type: application/x-ndjson, body: "{\\"iban\\":\\"DE1234567890\\"}\\n{\\"key\\":1}\\n"}',
            '{body: "{\\"iban\\":\\"****7890\\"}\\n{\\"key\\":\\"hmac:\\"}\\n"}',
        ),
        ("pat", "{body: {items: [{id: 1, cost: 2}], next: a, total: 9}}", "{body: {items: [{id: 1}], next: a}}"),
        ("pat", "{body: text}", "withheld"),
        ("own", "{body: {of: own}}", "{body: {of: own}}"),
        ("own", "{body: {of: pat}}", "withheld"),
        ("own", "{body: [{of: pat}, {of: own, n: 2}, {}]}", "{body: [{of: own, n: 2}]}"),
        ("own", "{status: 404, body: {}}", "empty"),
        ("hid", "{body: {of: pat}}", "not-found"),
        ("hid", "{status: 404, body: {}}", "not-found"),
    ],
)
def test_a_case_sees_what_the_client_would_get(tmp_path: Path, who: str, response: str, sees: str) -> None:
    assert failures(tmp_path, who, response, sees) == ""


@pytest.mark.parametrize(
    ("who", "response", "sees", "message"),
    [
        ("boss", "{body: {a: 1}}", "{body: {a: 1.0}}", "expected to see 1.0 at $.a, got 1"),
        ("boss", "{body: {a: 1}}", "{body: {a: true}}", "expected to see true at $.a, got 1"),
        ("boss", "{body: {a: 1, b: 2}}", "{body: {a: 1}}", "expected not to see $.b, which is 2"),
        ("boss", "{body: {a: 1}}", "withheld", 'expected boss to see withheld, got {"a": 1}'),
        ("boss", "{body: [1, 2]}", "{body: [1]}", "expected to see [1] at $, got [1, 2]"),
        ("boss", "{}", "{body: {}}", "expected to see a body, got empty"),
        ("sue", "{body: {key: a}}", "{body: {key: a}}", 'expected to see "a" at $.key, got "hmac:"'),
        (
            "pat",
            "{body: {items: [{id: 1, x: 2}]}}",
            "{body: {items: [{id: 1, x: 2}]}}",
            "expected to see $.items[0].x, which is left out",
        ),
        ("own", "{body: {of: pat}}", "not-found", "expected to see not-found, got withheld (a requirement does not hold)"),
        ("hid", "{body: {of: pat}}", "withheld", "expected to see withheld, got not-found (a requirement does not hold)"),
    ],
)
def test_the_first_difference_is_told(tmp_path: Path, who: str, response: str, sees: str, message: str) -> None:
    assert failures(tmp_path, who, response, sees) == message


def test_a_long_value_is_cut_where_it_is_told(tmp_path: Path) -> None:
    assert len(failures(tmp_path, "boss", f"{{body: {'x' * 5000}}}", "{body: y}")) < 200


def test_head_and_grpc_are_seen_as_they_would_be(tmp_path: Path) -> None:
    assert failures(tmp_path, "sue", "{body: {a: 1}}", "empty", request="HEAD /x") == ""
    assert failures(tmp_path, "own", "{body: {of: own}}", "withheld", request="HEAD /x") == ""
    assert (
        failures(tmp_path, "sue", "{body: {a: 1}}", "withheld", request="GET /x, headers: {content-type: application/grpc}") == ""
    )


def test_a_large_answer_is_asked_about_too(tmp_path: Path) -> None:
    large = f"{{of: own, more: {'x' * 40_000}}}"
    assert failures(tmp_path, "own", f"{{body: {large}}}", f"{{body: {large}}}") == ""


def test_without_anything_that_shapes_such_a_case_fails(tmp_path: Path) -> None:
    assert failures(tmp_path, "sue", "{body: {}}", "{body: {}}", shapes=False) == "nothing here shapes an answer"


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("expect: {sue: allow}, sees: {sue: empty}", "`sees` needs `response`"),
        ("response: {}, expect: {sue: allow, pat: allow}, sees: {sue: empty}", "`sees` does not say what 'pat' sees"),
        ("response: {}, expect: {sue: deny}, sees: {sue: empty}", "'sue' is not expected to be allowed"),
        ("response: {}, expect: {sue: allow}, sees: {sue: empty, zoe: empty}", "'zoe' is not expected to be allowed"),
    ],
)
def test_what_is_seen_is_said_of_everybody_who_is_allowed(tmp_path: Path, rest: str, message: str) -> None:
    _, problems, _ = furnished(tmp_path, f"{{request: GET /x, {rest}}}")
    assert [message in problem.message for problem in problems if problem.severity == "error"] == [True]


@pytest.mark.parametrize(
    ("who", "wanted", "failure"),
    [
        ("own", "response.body.of == subject.id", ""),
        ("hid", "{when: response.body.of == subject.id, hidden: true}", ""),
        ("own", "[response.body.of == subject.id]", ""),
        ("own", "'true'", "expected `then.require_response` to be true, got response.body.of == subject.id"),
        ("sue", "'true'", "expected `then.require_response` to be true, got none"),
    ],
)
def test_then_knows_requirements_by_their_source(tmp_path: Path, who: str, wanted: str, failure: str) -> None:
    case = f"{{request: GET /x, expect: {{{who}: allow}}, then: {{require_response: {wanted}}}}}"
    assert [result.message for result in results(tmp_path, case) if result.subject == who] == [failure]
