"""Globs and regular expressions."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authz.cel.patterns import expression, glob


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("a/*", ["a/b", "a/", "a/b.c"], ["a", "a/b/c", "b/a/c", "xa/b"]),
        ("a/**", ["a", "a/b", "a/b/c", "a/"], ["ab", "b/a", ""]),
        ("**/a", ["a", "b/a", "c/b/a"], ["a/b", "ba", "b/ba"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b", "a/b/b"], ["ab", "a/xb", "a/b/c"]),
        ("**", ["", "a", "a/b", "/"], []),
        ("/v1/*/files/**", ["/v1/x/files", "/v1/x/files/a/b", "/v1//files"], ["/v1/x/y/files", "/v1/files", "v1/x/files"]),
        ("*.yaml", ["a.yaml", ".yaml", "a.yaml.yaml"], ["a.yml", "a/b.yaml", "a.yaml "]),
        ("a*b*c", ["abc", "aXbYc", "abbcc", "abcbc"], ["ab", "acb", "abcd", "a/bc"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("**/x*y/**/z", ["xy/z", "a/x1y/b/c/z", "xy/xy/z"], ["xy/z/a", "z", "x/y/z"]),
        ("[a].(b)?", ["[a].(b)?"], ["a.b", "[a]x(b)?"]),
        ("a\nb*", ["a\nb", "a\nb\n"], ["ab"]),
        ("", [""], ["a", "/"]),
    ],
)
def test_a_glob_fits_by_segments(pattern: str, fits: list[str], fits_not: list[str]) -> None:
    test = glob(pattern).test
    assert [text for text in fits if not test(text)] == []
    assert [text for text in fits_not if test(text)] == []


def slowly(pattern: list[str], text: list[str]) -> bool:
    """What a glob means, by trying everything."""
    if not pattern:
        return not text
    if pattern[0] == "**":
        return any(slowly(pattern[1:], text[start:]) for start in range(len(text) + 1))
    if not text:
        return False
    one = ".*".join(re.escape(part) for part in pattern[0].split("*"))
    return re.fullmatch(one, text[0], re.DOTALL) is not None and slowly(pattern[1:], text[1:])


SEGMENTS = st.one_of(st.just("**"), st.text(alphabet="ab*", max_size=4).filter(lambda text: "**" not in text))


@given(st.lists(SEGMENTS, min_size=1, max_size=4), st.text(alphabet="ab/", max_size=10))
def test_a_glob_is_what_trying_everything_gives(segments: list[str], text: str) -> None:
    assert glob("/".join(segments)).test(text) is slowly(segments, text.split("/"))


@pytest.mark.parametrize("pattern", ["a**", "**a", "a/**b", "***", "x" * 600])
def test_a_glob_that_could_be_misread_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"stands between slashes|characters long"):
        glob(pattern)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("b+", "abc", True),
        ("^b", "abc", False),
        ("(?i)ABC$", "abc", True),
        ("^\u00e9.$", "\u00e9\U0001f600", True),
        ("^.$", "\0", True),
    ],
)
def test_an_expression_is_searched_by_code_points(pattern: str, text: str, found: bool) -> None:
    assert expression(pattern).test(text) is found
