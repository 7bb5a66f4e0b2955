"""Paths into JSON documents."""

import pytest

from gateway.core.json_path import MAX_STEPS, JsonPath, parse, written


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("$.user.email", ("user", "email")),
        ("$['user']['e-mail']", ("user", "e-mail")),
        ("$.result.content[*].email", ("result", "content", None, "email")),
        ("$[0].*", (0, None)),
        ("$['*']", ("*",)),
        ("$['']", ("",)),
        ("$..email", (..., "email")),
        ("$.a..['e-mail'][0]", ("a", ..., "e-mail", 0)),
        ("$..*", (..., None)),
        ("$..[*]", (..., None)),
        ("$..[0]", (..., 0)),
    ],
)
def test_a_path_names_members_items_and_all_of_them(text: str, steps: JsonPath) -> None:
    assert parse(text) == steps
    assert parse(written(steps)) == steps


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$",
        "user",
        "$user",
        "$.",
        "$..",
        "$...a",
        "$....a",
        "$.[0]",
        "$.a b",
        "$[-1]",
        "$[0:2]",
        "$[?@.a]",
        "$['a",
        "$" + ".a" * (MAX_STEPS + 1),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"path|steps"):
        parse(text)
