"""Query and header fields against a schema each: how text is read, what is ambiguous."""

from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest
from gateway.core.message import Field
from gateway.edge.parameters import MOST_PARAMETERS, HeaderSchema, QuerySchema
from gateway.edge.reading import Reading
from tests.fakes import a_request

QUERY = {
    "type": "object",
    "properties": {
        "page": {"type": "integer", "minimum": 1},
        "ratio": {"type": "number"},
        "draft": {"type": "boolean"},
        "q": {"type": "string", "maxLength": 20},
        "label": {"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 2},
        "ids": {"type": "array", "items": {"type": "integer"}},
        "either": {"anyOf": [{"type": "integer"}, {"enum": ["all"]}]},
        "one": {"$ref": "#/$defs/one"},
    },
    "$defs": {"one": {"const": 1}},
}


def query(raw: str, schema: Any = QUERY) -> list[tuple[str, str]]:
    return QuerySchema(schema).findings(raw.encode())


@pytest.mark.parametrize("raw", ["", "page=1", "page=10&ratio=-1.5&draft=true", "q=12", "q=true", "q=a+b%20c", "label=a", "label=a&label=b", "ids=1&ids=-2", "either=all",
                                 "either=7", "one=1", "unknown=x", "unknown=x&unknown=y", "q", "q=", "a[b]=c", "&&q=1&"])  # fmt: skip
def test_query_that_fits_passes(raw: str) -> None:
    assert query(raw) == []


@pytest.mark.parametrize(
    ("raw", "finding"),
    [
        ("page=0", ("/page", "minimum")),
        *((f"page={text}", ("/page", "type")) for text in ("01", "%2B1", "1.0", "1e3", "0x1", "1_0", "-0", "%201", "", "NaN", "true", "1" * 20, "1%00".replace("%00", "%C2%B2"))),
        *((f"ratio={text}", ("/ratio", "type")) for text in ("1e400", ".5", "1.", "Infinity", "0b1", "-", "1.5.1")),
        *((f"draft={text}", ("/draft", "type")) for text in ("TRUE", "1", "yes", "", "on")),
        ("page=1&page=2", ("/page", "type")),
        ("q=a&q=b", ("/q", "type")),
        ("label=a&label=b&label=c", ("/label", "maxItems")),
        ("label=abcdef", ("/label/0", "maxLength")),
        ("ids=1&ids=x", ("/ids/1", "type")),
        ("either=none", ("/either", "anyOf")),
        ("one=2", ("/one", "const")),
    ],
    ids=str,
)  # fmt: skip
def test_only_canonical_text_is_a_number_or_a_boolean(raw: str, finding: tuple[str, str]) -> None:
    assert query(raw) == [finding]


@pytest.mark.parametrize(
    ("raw", "keyword"),
    [
        ("q=a;page=x", "separator"),
        ("q=a&Q=b", "duplicate"),
        ("page[]=x", "brackets"),
        ("page%5B0%5D=x", "brackets"),
        ("page[a][b]=x", "brackets"),
        ("&".join(f"a{n}=" for n in range(MOST_PARAMETERS + 1)), "maxProperties"),
    ],
)
def test_what_servers_read_differently_is_refused(raw: str, keyword: str) -> None:
    assert query(raw) == [("", keyword)]


def test_brackets_that_are_declared_are_a_name_like_any() -> None:
    schema = {"properties": {"a": True, "a[]": {"type": "array", "items": {"type": "integer"}}}, "additionalProperties": False}
    assert query("a[]=1&a[]=2", schema) == []
    assert query("a[b]=1", schema) == [("", "brackets")]


def test_unknown_parameters_are_refused_where_the_schema_says_so() -> None:
    assert query("other=1", {**QUERY, "additionalProperties": False}) == [("", "additionalProperties")]
    assert query("other=x", {"additionalProperties": {"type": "integer"}}) == [("/other", "type")]
    assert query("other=1", {"additionalProperties": {"type": "integer"}}) == []


def test_what_cannot_be_decoded_is_refused() -> None:
    for raw in ("q=%", "q=%zz", "q=%ff"):
        with pytest.raises(BadRequest):
            query(raw)


def test_required_parameters_must_come() -> None:
    assert QuerySchema({"required": ["q"]}).findings(None) == [("", "required")]


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=5), st.text(st.characters(codec="utf-8"), max_size=9), max_size=5
    )
)
def test_text_of_any_kind_is_read_as_it_is(pairs: dict[str, str]) -> None:
    raw = urlencode(pairs)
    expected = [] if len({name.casefold() for name in pairs}) == len(pairs) else [("", "duplicate")]
    assert query(raw, {"additionalProperties": {"type": "string"}}) == expected


@given(st.integers(min_value=-(10**18), max_value=10**18))
def test_integers_are_read_as_they_are_written(number: int) -> None:
    assert Reading(True, {"type": "integer"}).value(str(number)) == number


def test_a_schema_that_holds_itself_ends() -> None:
    Reading({"$ref": "#"}, {"$ref": "#"})
    Reading(None, {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}})
    nested: dict[str, Any] = {"type": "array"}
    nested["items"] = {"$ref": "#"}
    assert Reading(nested, nested).values(["a"]) == ["a"]


HEADERS = {
    "properties": {
        "x-tenant": {"type": "string", "pattern": "^[a-z]+$"},
        "x-depth": {"type": "integer", "maximum": 5},
        "x-tags": {"type": "array", "items": {"enum": ["a", "b"]}},
    },
    "required": ["x-tenant"],
}
TENANT = (b"x-tenant", b"acme")


def headers(*fields: Field, schema: Any = HEADERS) -> list[tuple[str, str]]:
    return HeaderSchema(schema).findings(a_request(headers=list(fields)).head)


@pytest.mark.parametrize("fields", [(), ((b"x-depth", b"5"),), ((b"x-tags", b"a, b"),), ((b"x-tags", b"a"), (b"x-tags", b"b ,a")), ((b"user-agent", b"\xff"),),
                                    ((b"accept", b"a"), (b"accept", b"b"))], ids=str)  # fmt: skip
def test_headers_that_fit_pass(fields: tuple[Field, ...]) -> None:
    assert headers(TENANT, *fields) == []


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        ((), ("", "required")),
        (((b"x-tenant", b"ACME"),), ("/x-tenant", "pattern")),
        ((TENANT, (b"x-depth", b"06")), ("/x-depth", "type")),
        ((TENANT, (b"x-depth", b"6")), ("/x-depth", "maximum")),
        ((TENANT, TENANT), ("/x-tenant", "repeated")),
        ((TENANT, (b"x_tenant", b"evil")), ("", "duplicate")),
        ((TENANT, (b"x.tenant", b"evil")), ("", "duplicate")),
        (((b"x-tenant", b"\xff"),), ("/x-tenant", "encoding")),
        ((TENANT, (b"x-tags", b"a"), (b"x-tags", b"c")), ("/x-tags/1", "enum")),
        ((TENANT, (b"x-tags", b'"a,b"')), ("/x-tags", "encoding")),
        ((TENANT, (b"connection", b"close, X-Tenant")), ("", "required")),
    ],
    ids=[
        "missing",
        "pattern",
        "number",
        "maximum",
        "twice",
        "underscore",
        "dot",
        "no UTF-8",
        "second line",
        "quotes",
        "named by Connection",
    ],
)
def test_headers_that_do_not_are_told_by_name(fields: tuple[Field, ...], finding: tuple[str, str]) -> None:
    assert headers(*fields) == [finding]


def test_only_listed_headers_pass_where_the_schema_says_so() -> None:
    assert headers(TENANT, (b"x-other", b"1"), schema={**HEADERS, "additionalProperties": False}) == [("", "additionalProperties")]


@pytest.mark.parametrize("schema", [{"properties": {"X-Tenant": True}}, {"required": ["X-Tenant"]}])
def test_header_name_that_could_never_match_is_refused_at_load(schema: Any) -> None:
    with pytest.raises(ValueError, match="lower case"):
        HeaderSchema(schema)
