"""The last stage: what every answer carries, and what of an upstream's never passes."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.core.exchange import Exchange
from gateway.core.message import Field, Inbound, Response
from gateway.edge import model
from gateway.edge.cors import Cors
from gateway.edge.finish import Finish
from gateway.edge.security_headers import OWASP, REVEALING, SecurityHeaders
from gateway.ratelimit.headers import LimitFields, Style
from tests.fakes import a_principal

ID = "01920b7e-8c4a-7d3e-9f21-5a6b7c8d9e0f"
APP = b"https://app.example.com"


class Limited(NamedTuple):
    """What a client is told of a limit."""

    quota: int
    window: float


def exchange(*, secure: bool = True, authenticated: bool = True, limited: bool = False) -> Exchange:
    made = Exchange(ID, 0.0, 0.0, "generation", "main", "GET", "192.0.2.1")
    made.secure = secure
    if limited:
        made.policies, made.allowances = ("per-address",), ((99, 12_500_000),)
    made.principal = a_principal() if authenticated else None
    return made


def told(response: Response) -> list[Field]:
    """All fields as they go out."""
    return response.headers


def inbound(*headers: Field) -> Inbound:
    return Inbound(method="GET", target=b"/", version="1.1", headers=list(headers), peer="192.0.2.1", listener="main")


def finish(config: dict[str, str | None] | None = None, *, origins: list[str] | None = None, style: Style = "draft-11") -> Finish:
    policy = model.Cors(origins=origins, credentials=True) if origins else None
    return Finish(
        cors=Cors(policy), headers=SecurityHeaders(config or {}), limits=LimitFields(style, {"per-address": Limited(100, 60.0)})
    )


def passed(
    *headers: Field, by: Finish | None = None, origin: bytes | None = None, secure: bool = True, authenticated: bool = True
) -> list[Field]:
    response = Response(200, list(headers), own=False)
    asked = inbound((b"origin", origin)) if origin is not None else inbound()
    return told((by or finish()).complete(response, inbound=asked, exchange=exchange(secure=secure, authenticated=authenticated)))


def own(*headers: Field, by: Finish | None = None, secure: bool = True, authenticated: bool = True) -> list[Field]:
    response = Response(403, list(headers))
    return told(
        (by or finish()).complete(response, inbound=inbound(), exchange=exchange(secure=secure, authenticated=authenticated))
    )


def values(fields: list[Field], name: bytes) -> list[bytes]:
    return [value for key, value in fields if key == name]


def test_set_is_the_owasp_projects_without_the_logout_header_plus_no_xss_auditor(vectors: Path) -> None:
    published = json.loads((vectors / "headers" / "owasp_headers_add.json").read_text())["headers"]
    expected = {each["name"]: each["value"] for each in published if each["name"] != "Clear-Site-Data"}
    assert expected | {"X-XSS-Protection": "0"} == OWASP


def test_removed_names_are_the_owasp_projects(vectors: Path) -> None:
    published = json.loads((vectors / "headers" / "owasp_headers_remove.json").read_text())["headers"]
    assert {name.lower().encode() for name in published} == REVEALING


def test_own_answer_carries_the_whole_set() -> None:
    fields = own()
    for name, value in OWASP.items():
        assert values(fields, name.lower().encode()) == [value.encode()]


def test_own_answer_cannot_keep_a_weaker_value() -> None:
    fields = own((b"content-security-policy", b"default-src *"), (b"cache-control", b"public"))
    assert values(fields, b"content-security-policy") == [OWASP["Content-Security-Policy"].encode()]
    assert values(fields, b"cache-control") == [b"no-store, max-age=0"]


def test_strict_transport_security_is_said_over_tls_only() -> None:
    upstream = (b"strict-transport-security", b"max-age=1; preload")
    assert values(own(secure=False), b"strict-transport-security") == []
    assert values(passed(upstream, secure=False), b"strict-transport-security") == []
    assert values(passed(upstream), b"strict-transport-security") == [b"max-age=63072000; includeSubDomains"]


ADDED = [
    b"content-security-policy",
    b"cross-origin-embedder-policy",
    b"cross-origin-opener-policy",
    b"cross-origin-resource-policy",
    b"permissions-policy",
    b"referrer-policy",
    b"x-dns-prefetch-control",
    b"x-frame-options",
    b"x-permitted-cross-domain-policies",
]


@pytest.mark.parametrize("name", ADDED, ids=bytes.decode)
def test_field_that_shapes_pages_is_added_where_the_upstream_has_none(name: bytes) -> None:
    assert len(values(passed(), name)) == 1
    assert values(passed((name, b"its own")), name) == [b"its own"]
    others = [field for field in passed((name, b"its own")) if field[0] in ADDED and field[0] != name]
    assert len(others) == len(ADDED) - 1


@pytest.mark.parametrize(
    ("name", "value"), [(b"x-content-type-options", b"nosniff"), (b"x-xss-protection", b"0")], ids=["nosniff", "xss"]
)
def test_upstream_cannot_switch_off_a_protection(name: bytes, value: bytes) -> None:
    assert values(passed((name, b"1; mode=block"), (name, b"twice")), name) == [value]


def test_authenticated_answer_is_not_stored_unless_the_upstream_decided() -> None:
    assert values(passed(), b"cache-control") == [b"no-store, max-age=0"]
    assert values(passed((b"cache-control", b"private, max-age=60")), b"cache-control") == [b"private, max-age=60"]
    assert values(passed(authenticated=False), b"cache-control") == []


def test_anonymous_answer_may_be_cached() -> None:
    asked = exchange()
    asked.principal = a_principal("anonymous", issuer="", scheme="anonymous")
    fields = told(finish().complete(Response(200, [], own=False), inbound=inbound(), exchange=asked))
    assert values(fields, b"cache-control") == []


@pytest.mark.parametrize("name", sorted(REVEALING), ids=bytes.decode)
def test_revealing_field_of_an_upstream_is_removed(name: bytes) -> None:
    assert values(passed((name, b"canary/1.2.3")), name) == []


@pytest.mark.parametrize("origins", [None, ["https://app.example.com"]], ids=["no policy", "policy"])
@pytest.mark.parametrize("suffix", ["allow-origin", "allow-credentials", "allow-methods", "allow-headers", "expose-headers", "max-age",
                                    "allow-private-network", "something-new"])  # fmt: skip
def test_upstreams_word_on_origins_never_passes(suffix: str, origins: list[str] | None) -> None:
    name = f"access-control-{suffix}".encode()
    fields = passed((name, b"https://evil.test"), by=finish(origins=origins), origin=b"https://evil.test")
    assert values(fields, name) == []


@pytest.mark.parametrize("is_own", [True, False], ids=["own", "passed on"])
def test_cors_fields_are_on_every_answer_of_the_route(is_own: bool) -> None:
    response = Response(403, [(b"access-control-allow-origin", b"*")] if not is_own else [], own=is_own)
    fields = told(finish(origins=[APP.decode()]).complete(response, inbound=inbound((b"origin", APP)), exchange=exchange()))
    assert values(fields, b"access-control-allow-origin") == [APP]
    assert values(fields, b"access-control-allow-credentials") == [b"true"]
    assert b"Origin" in values(fields, b"vary")


def test_upstreams_vary_stays_beside_ours() -> None:
    assert values(passed((b"vary", b"Accept-Encoding"), by=finish(origins=[APP.decode()])), b"vary") == [
        b"Accept-Encoding",
        b"Origin",
    ]


def test_request_id_is_ours_on_every_answer() -> None:
    assert values(own((b"x-request-id", b"other")), b"x-request-id") == [ID.encode()]
    assert values(passed((b"x-request-id", b"other")), b"x-request-id") == [ID.encode()]


def test_allowances_are_told_on_allowed_answers() -> None:
    response = Response(200, [(b"ratelimit", b'"upstream";r=1'), (b"x-ratelimit-limit", b"5000")], own=False)
    fields = told(finish().complete(response, inbound=inbound(), exchange=exchange(limited=True)))
    assert values(fields, b"ratelimit") == [b'"per-address";r=99;t=13']
    assert values(fields, b"ratelimit-policy") == [b'"per-address";q=100;w=60']
    assert values(fields, b"x-ratelimit-limit") == [b"5000"]


def test_upstreams_own_limits_pass_where_we_have_none() -> None:
    assert values(passed((b"ratelimit", b'"upstream";r=1')), b"ratelimit") == [b'"upstream";r=1']


def test_own_refusal_after_the_first_limits_still_tells_them() -> None:
    fields = told(finish().complete(Response(403, []), inbound=inbound(), exchange=exchange(limited=True)))
    assert values(fields, b"ratelimit") == [b'"per-address";r=99;t=13']


def test_refusal_by_a_limit_keeps_the_fields_it_brought() -> None:
    response = Response(429, [(b"ratelimit", b'"per-principal";r=0;t=5')])
    fields = told(finish().complete(response, inbound=inbound(), exchange=exchange(limited=True)))
    assert values(fields, b"ratelimit") == [b'"per-principal";r=0;t=5']


def test_style_none_tells_nothing_and_leaves_the_upstreams() -> None:
    response = Response(200, [(b"ratelimit", b'"upstream";r=1')], own=False)
    fields = told(finish(style="none").complete(response, inbound=inbound(), exchange=exchange(limited=True)))
    assert values(fields, b"ratelimit") == [b'"upstream";r=1']


def test_null_removes_a_field_from_the_set() -> None:
    by = finish({"X-Frame-Options": None, "x-xss-protection": None, "Cache-Control": None})
    assert values(own(by=by), b"x-frame-options") == []
    assert values(passed((b"x-xss-protection", b"1"), by=by), b"x-xss-protection") == [b"1"]
    assert values(passed(by=by), b"cache-control") == []


def test_configured_value_replaces_the_sets_whatever_the_case_of_its_name() -> None:
    by = finish({"content-security-policy": "default-src 'none'", "Reporting-Endpoints": 'main="https://r.example"'})
    assert values(own(by=by), b"content-security-policy") == [b"default-src 'none'"]
    assert values(passed((b"reporting-endpoints", b"x"), by=by), b"reporting-endpoints") == [b'main="https://r.example"']


@pytest.mark.parametrize(
    "name",
    ["Content-Length", "Transfer-Encoding", "Connection", "Set-Cookie", "Access-Control-Allow-Origin", "Vary", "X-Request-Id", "RateLimit",
     "Content-Type", "Location", "WWW-Authenticate"],
)  # fmt: skip
def test_field_with_another_source_is_refused_at_load(name: str) -> None:
    with pytest.raises(ValueError, match="not a security header"):
        SecurityHeaders({name: "x"})


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x=1", "a\nb", "a\x00", "", " a", "a ", "\u00e9"], ids=repr)
def test_value_that_is_no_field_value_is_refused_at_load(value: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        SecurityHeaders({"Referrer-Policy": value})


def test_finishing_one_answer_leaves_the_next_untouched() -> None:
    by = finish(origins=[APP.decode()])
    first = passed(by=by)
    first.clear()
    assert len(passed(by=by)) > 10
    assert len(own(by=by)) > 10
