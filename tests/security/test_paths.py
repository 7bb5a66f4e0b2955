"""Authorise one path, serve another: the published ways past gateways like this one, sent to a whole gateway.

Each test carries the id of the flaw it answers. `/public/**` is open, `/admin/**` needs a token: no request without one may
make the upstream serve anything but a path beneath /public.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.house import House, house


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as running:
        yield running


async def refused(gateway: House, target: str, *, status: int = 400) -> None:
    """The request is answered by the gateway, and nothing reached the upstream."""
    reply = await gateway.get(target)
    assert reply.status == status, (target, reply.status, reply.body)
    assert gateway.upstream.seen == []


async def test_cve_2026_33494_dot_segments_do_not_leave_a_public_prefix(gateway: House) -> None:
    await refused(gateway, "/public/../admin/secrets")


@pytest.mark.parametrize(
    "target",
    ["/public/%2e%2e/admin", "/public/%2e%2e%2fadmin", "/public/..;/admin", "/public/.%2e/admin", "/public/%2E%2E;x=1/admin"],
)
async def test_cve_2026_42274_encoded_dot_segments_are_refused(gateway: House, target: str) -> None:
    await refused(gateway, target)


async def test_cve_2026_42272_the_case_of_an_escape_changes_nothing(gateway: House) -> None:
    lower = await gateway.get("/public/a%2fadmin")
    upper = await gateway.get("/public/a%2Fadmin")
    assert (lower.status, upper.status) == (400, 400)
    assert gateway.upstream.seen == []


@pytest.mark.parametrize("target", ["//admin/x", "///admin", "//public/x", "/public//admin"])
async def test_cve_2026_26205_double_slashes_are_no_authority_and_no_path(gateway: House, target: str) -> None:
    await refused(gateway, target)


@pytest.mark.parametrize(("target", "status"), [("/a%2Fadmin", 400), ("/a%5Cadmin", 400), ("/%61dmin/x", 401)])
async def test_cve_2021_29492_policy_sees_the_form_that_is_forwarded(gateway: House, target: str, status: int) -> None:
    await refused(gateway, target, status=404 if target == "/a%2Fadmin" else status)


async def test_cve_2021_29492_a_decoded_letter_reaches_policy_and_upstream_decoded(gateway: House) -> None:
    reply = await gateway.get("/%61dmin/%78", token=gateway.keys.token())
    assert reply.status == 200
    assert [seen.target for seen in gateway.upstream.seen] == ["/admin/x"]
    assert (await gateway.requests())[-1]["path"] == "/admin/x"


@pytest.mark.parametrize("target", ["/something/../admin", "/./admin/x"])
async def test_cve_2019_9901_paths_are_never_forwarded_unnormalised(gateway: House, target: str) -> None:
    await refused(gateway, target)


async def test_cve_2019_9900_a_nul_in_a_header_value_is_refused(gateway: House) -> None:
    reply = await gateway.raw(b"GET /public/x HTTP/1.1\r\nHost: gw.test\r\nX-A: a\x00b\r\n\r\n", close=True)
    assert reply.status == 400
    assert gateway.upstream.seen == []


@pytest.mark.parametrize("target", ["/admin#x", "/public/x#/admin", "/public#", "/public/x?a#b"])
async def test_cve_2021_32779_a_fragment_is_refused(gateway: House, target: str) -> None:
    await refused(gateway, target)


@pytest.mark.parametrize("target", ["/admin/secret%23/public", "/admin/secret%3F/public", "/admin/secret%2523/public"])
async def test_cve_2026_41059_encoded_delimiters_do_not_widen_what_is_public(gateway: House, target: str) -> None:
    reply = await gateway.get(target)
    assert reply.status in (400, 401)
    assert gateway.upstream.seen == []


async def test_cve_2025_54576_the_query_is_no_part_of_the_path(gateway: House) -> None:
    await refused(gateway, "/admin/x?x=/public/health", status=401)


@pytest.mark.parametrize("target", ["/public../admin", "/public%2e%2e/admin", "/publicx", "/public%20/admin"])
async def test_cve_2026_48020_a_prefix_ends_at_a_slash(gateway: House, target: str) -> None:
    await refused(gateway, target, status=404)


async def test_cve_2026_40912_a_stripped_prefix_cuts_the_form_that_was_matched(tmp_path: Path) -> None:
    routes = [
        {
            "name": "open.api",
            "match": {"path": "/api/**"},
            "upstream": "plain",
            "anonymous": True,
            "rewrite": {"strip_prefix": "/api"},
        },
        {"name": "admin", "match": {"path": "/admin/**"}, "upstream": "api", "authenticate": ["jwt.corp"]},
    ]
    async with house(tmp_path, routes=routes) as gateway:
        for target in ("/api%2e/admin/secret", "/api%20/admin", "/api../admin"):
            assert (await gateway.get(target)).status == 404
        for target in ("/api/..%2fadmin", "/api/%2e%2e/admin", "/api//admin"):
            assert (await gateway.get(target)).status == 400
        assert gateway.upstream.seen == []
        assert (await gateway.get("/%61pi/x")).status == 200
        assert [seen.target for seen in gateway.upstream.seen] == ["/x"]


@pytest.mark.parametrize(
    "target", ["/u/..%2fadmin", "/u/%2e%2e%2fadmin", "/u/.%2e/admin", "/u//admin", "/u/%5c..%5cadmin", "/u/x%2f..%2f..%2fadmin"]
)
async def test_cve_2026_65600_a_rewritten_path_cannot_climb(tmp_path: Path, target: str) -> None:
    routes = [
        {"name": "open.u", "match": {"path": "/u/**"}, "upstream": "plain", "anonymous": True, "rewrite": {"strip_prefix": "/u"}}
    ]
    async with house(tmp_path, routes=routes) as gateway:
        await refused(gateway, target)
        assert (await gateway.get("/u")).status == 200
        assert [seen.target for seen in gateway.upstream.seen] == ["/"]


@pytest.mark.parametrize("target", ["HTTP://GW.TEST/admin/x", "hTtP://gw.test/admin/x", "http://gw.test/admin/x"])
async def test_cve_2023_35944_the_case_of_a_scheme_changes_nothing(gateway: House, target: str) -> None:
    await refused(gateway, target, status=401)


@pytest.mark.parametrize("host", ["example.com/livez?x=", "localhost/livez#", "livez", "evil.test"])
async def test_cve_2026_49468_the_operators_paths_are_not_read_from_host(gateway: House, host: str) -> None:
    reply = await gateway.raw(f"GET /config_dump HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode(), listener="admin")
    assert reply.status in (400, 403, 421)
    assert b"upstreams" not in reply.body


@pytest.mark.parametrize(
    "target", ["/livez/../config_dump", "/livez%2f..%2fconfig_dump", "/metrics/../config_dump", "/livez-other", "/livez/"]
)
async def test_ghsa_gx7w_56w6_g48x_what_is_open_to_all_is_matched_whole(gateway: House, target: str) -> None:
    reply = await gateway.raw(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode(), listener="admin")
    assert reply.status in (400, 403, 404)
    assert b"upstreams" not in reply.body


@pytest.mark.parametrize("escape", ["%00", "%2e", "%2f", "%5c", "%3b", "%3f", "%23", "%25", "%0d%0a", "%7f"])
@pytest.mark.parametrize("position", ["/things/{}x", "/things/x{}", "/things/{}"])
async def test_cve_2025_66490_no_encoded_reserved_character_passes_a_plain_parameter(
    gateway: House, escape: str, position: str
) -> None:
    target = position.format(escape)
    reply = await gateway.get(target, token=gateway.keys.token())
    if escape == "%2e" and position != "/things/{}":
        assert gateway.upstream.seen[-1].target == target.replace("%2e", ".")
        return
    assert reply.status == 400, target
    assert gateway.upstream.seen == []


async def test_cve_2026_27587_escapes_are_folded_before_matching(gateway: House) -> None:
    await refused(gateway, "/%61%64%6D%49N/x", status=404)
    await refused(gateway, "/%61%64%6D%69n/x", status=401)


@pytest.mark.parametrize("target", ["/public%5c..%5cadmin", "/public/%5c../admin", "/public\\..\\admin"])
async def test_cve_2026_52844_backslashes_are_refused(gateway: House, target: str) -> None:
    await refused(gateway, target)


@pytest.mark.parametrize("line", [b"GET admin/x HTTP/1.1", b"GET gw.test/admin HTTP/1.1", b"GET * HTTP/1.1"])
async def test_cve_2026_33186_a_path_without_its_slash_is_refused(gateway: House, line: bytes) -> None:
    reply = await gateway.raw(line + b"\r\nHost: gw.test\r\n\r\n")
    assert reply.status == 400
    assert gateway.upstream.seen == []


@pytest.mark.parametrize("host", ["example.com/public?x=", "example.com/public#", "a@b", "gw.test/../public", "gw.test, evil"])
async def test_cve_2026_48710_host_chooses_no_path(gateway: House, host: str) -> None:
    reply = await gateway.get("/admin/x", host=host)
    assert reply.status == 400
    assert gateway.upstream.seen == []


@pytest.mark.parametrize("host", ["GW.TEST", "gw.test.", "gw.test:443", "Gw.Test:80"])
async def test_cve_2026_42273_a_host_has_one_meaning_in_every_spelling(tmp_path: Path, host: str) -> None:
    routes = [
        {"name": "open.any", "match": {"path": "/x"}, "upstream": "plain", "anonymous": True},
        {"name": "admin", "match": {"path": "/x", "host": "gw.test"}, "upstream": "api", "authenticate": ["jwt.corp"]},
    ]
    async with house(tmp_path, routes=routes) as gateway:
        assert (await gateway.get("/x", host=host)).status == 401
        assert (await gateway.get("/x", host="other.test")).status == 200


async def test_cve_2022_23632_a_trailing_dot_opens_no_other_host(tmp_path: Path) -> None:
    async with house(tmp_path, listen={"address": "127.0.0.1:0", "hosts": ["gw.test"]}) as gateway:
        assert (await gateway.get("/admin/x", host="gw.test.")).status == 401
        assert (await gateway.get("/admin/x", host="gw.test..")).status == 400
        assert (await gateway.get("/admin/x", host="evil.test")).status == 421


async def test_cve_2026_29777_a_pattern_is_data(tmp_path: Path) -> None:
    routes = [{"name": "open.x", "match": {"path": "/`a`"}, "upstream": "plain", "anonymous": True}]
    with pytest.raises(Exception, match="segment"):
        async with house(tmp_path, routes=routes):
            pass


async def test_contextforge_3892_an_odd_identifier_never_widens_what_is_reached(gateway: House) -> None:
    for target in ("/things/zz-not-hex", "/things/%7Bid%7D", "/things/*"):
        await refused(gateway, target, status=401 if target == "/things/zz-not-hex" else 400)


async def test_class_every_traversal_spelling_stays_beneath_the_public_prefix(gateway: House, vectors: Path) -> None:
    payloads = (vectors / "paths" / "patt_directory_traversal.txt").read_bytes().splitlines()
    for payload in payloads[:140]:
        target = payload.strip().replace(b" ", b"%20")
        if target:
            await gateway.raw(b"GET /public/" + target + b" HTTP/1.1\r\nHost: gw.test\r\n\r\n")
    assert all(
        seen.target.startswith("/public/") and ".." not in seen.target.replace("%2F", "/").split("/")
        for seen in gateway.upstream.seen
    )
