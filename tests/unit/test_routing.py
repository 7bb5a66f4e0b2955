"""The table of routes: precedence, methods, hosts, parameters."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest
from gateway.core.reason import Reason
from gateway.routing import ConflictError, Entry, Parameters, Table, parse


def table(
    *rows: tuple[str, str] | tuple[str, str, tuple[str, ...] | None] | tuple[str, str, tuple[str, ...] | None, str | None],
) -> Table[str]:
    entries = []
    for row in rows:
        name, path, methods, host = (*row, None, None)[:4]
        entries.append(Entry(parse(path), cast("Any", methods), cast("Any", host), name))
    return Table(entries, missing="404", refuse=lambda leaf: "405 " + ",".join(sorted(leaf.methods)))


def match(of: Table[str], path: str, method: str = "GET", host: str = "h") -> tuple[str, tuple[str, ...]]:
    return of.match(host, tuple(path[1:].split("/")), method)


def test_literal_beats_parameter_beats_star_beats_rest_segment_by_segment() -> None:
    routes = table(("rest", "/a/**"), ("star", "/a/*"), ("param", "/a/{x}"), ("literal", "/a/b"))
    assert match(routes, "/a/b") == ("literal", ())
    assert match(routes, "/a/c") == ("param", ("c",))
    assert match(routes, "/a/c/d") == ("rest", ("c/d",))
    assert match(routes, "/a") == ("rest", ())
    assert match(table(("star", "/a/*"), ("rest", "/a/**")), "/a/c") == ("star", ("c",))


def test_a_more_specific_branch_that_leads_nowhere_is_left_again() -> None:
    routes = table(("deep", "/a/b/x"), ("param", "/a/{p}/c"), ("rest", "/**"))
    assert match(routes, "/a/b/c") == ("param", ("b",))
    assert match(routes, "/a/b/d") == ("rest", ("a/b/d",))


def test_what_a_path_takes_is_that_of_all_its_routes() -> None:
    routes = table(
        ("read", "/a", ("GET",)), ("write", "/a", ("POST", "OPTIONS")), ("any", "/b/*"), ("own", "/a", ("PUT",), "x.test")
    )
    assert routes.methods("h", ("a",)) == frozenset({"GET", "HEAD", "POST", "OPTIONS"})
    assert routes.methods("x.test", ("a",)) == frozenset({"PUT"})
    assert routes.methods("h", ("b", "c")) is None
    assert routes.methods("h", ("c",)) == frozenset()


def test_a_trailing_slash_is_another_path() -> None:
    routes = table(("with", "/a/"), ("without", "/a"))
    assert match(routes, "/a/")[0] == "with"
    assert match(routes, "/a")[0] == "without"
    assert match(table(("p", "/a/{x}")), "/a/")[0] == "404"


def test_a_path_that_only_begins_alike_is_not_matched() -> None:
    routes = table(("api", "/api/**"))
    assert match(routes, "/api../admin")[0] == "404"
    assert match(routes, "/apix")[0] == "404"
    assert match(routes, "/api/admin")[0] == "api"


def test_a_known_path_with_another_method_is_405_and_never_a_less_specific_route() -> None:
    routes = table(("exact", "/a/b", ("GET",)), ("wide", "/a/{x}", ("POST",)))
    assert match(routes, "/a/b", "POST") == ("405 GET,HEAD", ())
    assert match(routes, "/a/b", "HEAD")[0] == "exact"
    assert match(routes, "/a/c", "POST")[0] == "wide"


def test_routes_share_a_path_by_method() -> None:
    routes = table(("read", "/a/{x}", ("GET",)), ("write", "/a/{y}", ("POST", "PUT")))
    assert match(routes, "/a/1", "PUT")[0] == "write"
    assert match(routes, "/a/1", "DELETE")[0] == "405 GET,HEAD,POST,PUT"


@pytest.mark.parametrize(
    "rows",
    [
        (("a", "/x", ("GET",)), ("b", "/x", ("GET", "POST"))),
        (("a", "/x/{p}", ("GET",)), ("b", "/x/{q}", ("GET",))),
        (("a", "/x", None), ("b", "/x", ("GET",))),
        (("a", "/x", ("GET",)), ("b", "/x", None)),
        (("a", "/x", ("GET",)), ("b", "/x", ("HEAD",))),
        (("a", "/x/**"), ("b", "/x/**")),
    ],
    ids=repr,
)
def test_two_claims_of_one_path_and_method_are_refused_at_load(rows: Any) -> None:
    with pytest.raises(ConflictError):
        table(*rows)


def test_a_host_of_its_own_beats_every_host() -> None:
    routes = table(("any", "/a"), ("one", "/a", None, "api.example.com"), ("beneath", "/a", None, "*.example.com"))
    assert match(routes, "/a", host="api.example.com")[0] == "one"
    assert match(routes, "/a", host="b.example.com")[0] == "beneath"
    assert match(routes, "/a", host="c.b.example.com")[0] == "beneath"
    assert match(routes, "/a", host="example.com")[0] == "any"
    assert match(routes, "/a", host="example.org")[0] == "any"


@pytest.mark.parametrize(
    "text",
    ["a", "", "/{x}/{x}", "/a{x}", "/**/a", "/a*", "/{1x}", "/a//b", "/a/../b", "/%41", "/a b", "/a%2Fb/..", "/{}"],
    ids=repr,
)
def test_a_pattern_that_could_surprise_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def values(
    pattern: str, captured: tuple[str, ...], expressions: dict[str, str] | None = None, slashes: tuple[str, ...] = ()
) -> dict[str, str]:
    return Parameters(parse(pattern), expressions or {}, slashes).decoded(captured)


def test_parameters_are_decoded() -> None:
    assert values("/{a}/{b}", ("x", "caf%C3%A9"), {"b": ".+"}) == {"a": "x", "b": "café"}


@pytest.mark.parametrize("raw", ["a%20b", "a%3Bb", "%3F", "%23", "%25", "a+b", "é", "x" * 129, "a%0Ab"], ids=repr)
def test_by_default_a_parameter_is_plain(raw: str) -> None:
    with pytest.raises(BadRequest) as caught:
        values("/{a}", (raw,))
    assert caught.value.reason is Reason.PARAM_INVALID


@pytest.mark.parametrize("raw", [".", ".."], ids=repr)
def test_a_parameter_is_never_a_dot_segment_whatever_its_pattern(raw: str) -> None:
    with pytest.raises(BadRequest):
        values("/{a}", (raw,), {"a": ".*"})


def test_a_pattern_must_match_the_whole_parameter() -> None:
    with pytest.raises(BadRequest):
        values("/{a}", ("abc\n",), {"a": "[a-z]+"})
    with pytest.raises(BadRequest):
        values("/{a}", ("abc1",), {"a": "[a-z]+"})


@pytest.mark.parametrize("pattern", ["/*", "/**", "/{a}"])
def test_an_encoded_slash_is_refused_wherever_a_route_did_not_ask_for_it(pattern: str) -> None:
    with pytest.raises(BadRequest) as caught:
        values(pattern, ("x%2Fy",), {"a": ".*"} if "a" in pattern else None)
    assert caught.value.reason is Reason.PATH_REFUSED


def test_an_encoded_slash_is_kept_where_a_route_asked_for_it() -> None:
    assert values("/{a}", ("x%2Fy",), {"a": "[a-z/]+"}, ("a",)) == {"a": "x/y"}


SEGMENT = st.sampled_from(["a", "b", "c", "{p}", "*", "**"])


@given(
    st.lists(st.lists(SEGMENT, min_size=1, max_size=4), min_size=1, max_size=8),
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=5),
)
def test_the_tree_agrees_with_trying_every_pattern_in_order_of_precedence(patterns: list[list[str]], path: list[str]) -> None:
    texts = {
        "/" + "/".join(f"{{p{i}}}" if part == "{p}" else part for i, part in enumerate(parts))
        for parts in patterns
        if "**" not in parts[:-1]
    }
    routes = table(*((text, text) for text in sorted(texts)))

    def rank(text: str) -> list[int] | None:
        ranks: list[int] = []
        parts = text[1:].split("/")
        for index, part in enumerate(parts):
            if part == "**":
                return [*ranks, 3]
            if index >= len(path) or (part not in (path[index], "*") and not part.startswith("{")):
                return None
            ranks.append(0 if part == path[index] else 1 if part.startswith("{") else 2)
        return ranks if len(parts) == len(path) else None

    ranked = sorted((found, text) for text in texts if (found := rank(text)) is not None)
    assert match(routes, "/" + "/".join(path))[0] == (ranked[0][1] if ranked else "404")
