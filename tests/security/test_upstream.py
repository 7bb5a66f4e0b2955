"""Published flaws of the way to an upstream and back, each by the request or answer that shows it."""

import pytest

from gateway.core.errors import InternalError, UpstreamUnreachable
from gateway.core.message import Field, Outbound
from gateway.core.names import folded
from gateway.scrub.needles import Needles
from gateway.upstream.fields import RequestFields
from gateway.upstream.model import RouteTimeouts, Upstream
from gateway.upstream.owned import OWNED
from gateway.upstream.target import parse_target
from tests.scripted import OK, READ, Scripted, body_of, exchange, fields_of, outbound, principal, request, transport, upstream


def sent(*headers: Field, peer: str = "192.0.2.1", authority: str = "gateway.example", **model: object) -> Outbound:
    fields = RequestFields(
        upstream=Upstream.model_validate({"url": "http://10.0.0.5", "internal": True, "allow_plaintext": True, **model}),
        credential_headers=frozenset({b"authorization", b"x-api-key"}),
        credential_cookies=frozenset(),
        strip=0,
    )
    return fields.outbound(request(*headers, peer=peer, authority=authority), principal(), exchange())


def spellings(name: bytes) -> list[bytes]:
    words = name.split(b"-")
    return [mark.join(words) for mark in (b"-", b"_", b".", b"~", b"-_")] + [b"".join(words), name + b"_"]


IDENTITY = [
    b"x-forwarded-user", b"x-forwarded-email", b"x-forwarded-proto", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-prefix",
    b"x-forwarded-uri", b"x-forwarded-path", b"x-forwarded-port", b"x-forwarded-method", b"x-forwarded-client-cert", b"forwarded",
    b"x-real-ip", b"x-original-url", b"x-original-uri", b"x-rewrite-url", b"x-http-method-override", b"x-method-override",
    b"x-gateway-subject", b"x-gateway-roles", b"x-userinfo", b"x-access-token", b"x-id-token", b"x-envoy-original-path",
    b"client-cert", b"client-cert-chain", b"traceparent", b"tracestate", b"baggage", b"x-request-id", b"authorization", b"x-api-key",
]  # fmt: skip


@pytest.mark.parametrize("name", IDENTITY, ids=bytes.decode)
def test_cve_2025_64484_no_spelling_of_an_identity_header_passes(name: bytes) -> None:
    """Rows 26, 27, 32-35, 43: underscores, dots and mixtures, also where the feature behind the header is off."""
    for internal in (True, False):
        made = sent(
            *[(spelling, b"spoofed") for spelling in spellings(name)],
            url="http://10.0.0.5" if internal else "http://8.8.8.8",
            internal=internal,
        )
        assert b"spoofed" not in b" ".join(value for _, value in fields_of(made))


def test_cve_2026_54763_our_own_configured_names_are_the_list() -> None:
    """Rows 28, 29: what is stripped is derived from what is set, whatever case the configuration uses."""
    made = sent((b"x-webauth-user", b"evil"), (b"x_team", b"evil"), (b"x-team", b"evil"), headers={"set": {"X-tEAM": "ours"}})
    assert [value for name, value in fields_of(made) if folded(name) in (b"xteam", b"xwebauthuser")] == [b"ours"]


def test_cve_2026_30851_a_header_we_do_not_send_is_not_left_to_the_client() -> None:
    """Rows 30, 31: no trace context of ours, so none at all."""
    made = sent((b"traceparent", b"evil"), (b"trace_parent", b"evil"))
    assert not [name for name, _ in fields_of(made) if folded(name) == b"traceparent"]


@pytest.mark.parametrize("scheme", [b"https", b"HTTPS", b"wss"], ids=bytes.decode)
def test_cve_2026_54764_the_scheme_is_ours_to_say(scheme: bytes) -> None:
    """Rows 36, 37."""
    made = sent((b"x-forwarded-proto", scheme), (b"x-forwarded-port", b"443"))
    assert [value for name, value in fields_of(made) if name == b"x-forwarded-proto"] == [b"http"]
    assert b"x-forwarded-port" not in dict(fields_of(made))


@pytest.mark.parametrize(
    "lines",
    [
        [b"close, X-Forwarded-For, Authorization, X-Gateway-Subject, Via, Host, Forwarded, X-Request-Id, X-Team"],
        [b"close", b"x-forwarded-for,\tx-gateway-subject", b"via , host", b"forwarded, x-request-id, x-team"],
        [b"x-forwarded-for", b"X-GATEWAY-SUBJECT,via,host,forwarded,x-request-id,x-team"],
    ],
    ids=["one-line", "tabs-and-lines", "lower-and-upper"],
)
def test_cve_2024_45410_connection_cannot_take_our_headers_away(lines: list[bytes]) -> None:
    """Rows 47, 48, 49, 51: what we add is added after Connection was obeyed."""
    made = sent(*[(b"connection", line) for line in lines], headers={"set": {"X-Team": "ours"}})
    names = [name for name, _ in fields_of(made)]
    for name in (b"x-forwarded-for", b"x-gateway-subject", b"via", b"host", b"forwarded", b"x-request-id", b"x-team"):
        assert names.count(name) == 1
    assert b"connection" not in names


async def test_ghsa_w9mr_28mw_j8hg_an_injected_credential_survives_connection() -> None:
    """Row 50: the credential is appended after the fields were made, and goes out."""
    made = sent((b"connection", b"authorization"), (b"authorization", b"Bearer client"))
    made.headers.append((b"authorization", b"Bearer upstream"))
    async with Scripted([READ, OK]) as server:
        await transport(server.port).send(made)
        assert server.seen[0].all(b"authorization") == [b"Bearer upstream"]


@pytest.mark.parametrize("value", [b"a\r\nx-admin: 1", b"a\nb", b"a\rb", b"a\0b"], ids=["crlf", "lf", "cr", "nul"])
async def test_cve_2023_27493_a_value_cannot_start_a_line(value: bytes) -> None:
    """Row 56: whatever wrote it into the request."""
    async with Scripted([READ, OK]) as server:
        with pytest.raises(InternalError):
            await transport(server.port).send(outbound("GET", b"/a", (b"x-claim", value)))
        assert server.seen == []


async def test_cve_2026_71324_an_answer_nobody_asked_for_reaches_nobody() -> None:
    """Row 64: the next request gets its own answer, not the one that lay in wait."""
    evil = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"
    async with Scripted([READ, OK + evil], [READ, OK]) as server:
        way = transport(server.port)
        assert (await way.send(outbound())).body == b"ok"
        assert (await way.send(outbound())).body == b"ok"
        assert server.opened == 2


@pytest.mark.parametrize("scheme", [b"NTLM", b"Negotiate", b"negotiate YII=", b'Basic realm="x", NTLM'], ids=bytes.decode)
async def test_ntlm_connections_are_not_shared(scheme: bytes) -> None:
    """Row 67: a connection on which authentication of the connection began serves nobody else."""
    challenge = b"HTTP/1.1 401 No\r\nwww-authenticate: %b\r\ncontent-length: 0\r\n\r\n" % scheme
    async with Scripted([READ, challenge, READ, OK], [READ, OK]) as server:
        way = transport(server.port)
        await way.send(outbound())
        await way.send(outbound())
        assert server.opened == 2


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-forwarded-host", b"evil.example"), (b"x-original-url", b"http://evil.example/")],
        [(b"x-upstream", b"http://evil.example"), (b"x-api-base", b"http://evil.example")],
    ],
    ids=["forwarding", "api-base"],
)
def test_cve_2024_6587_nothing_in_a_request_chooses_the_upstream(headers: list[Field]) -> None:
    """Rows 111, 124: Host and target come from the configuration and the canonical path."""
    made = sent(*headers, authority="evil.example")
    assert (made.authority, made.target) == (b"10.0.0.5", b"/a")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_passed_on_without_the_credential(status: int) -> None:
    """Rows 114, 125: nobody follows it, and an echoed credential is replaced."""
    raw = b"HTTP/1.1 %d Moved\r\nlocation: http://127.0.0.1:%d/?t=s3cret\r\ncontent-length: 0\r\n\r\n"
    async with Scripted([READ, OK]) as elsewhere, Scripted([READ, raw % (status, elsewhere.port)]) as server:
        to = outbound("GET", b"/a", (b"authorization", b"Bearer s3cret"))
        to.secrets = (Needles(b"s3cret", b"Bearer s3cret"),)
        response = await transport(server.port).send(to)
        assert response.status == status
        assert dict(response.headers)[b"location"] == b"http://127.0.0.1:%d/?t=REDACTED" % elsewhere.port
        assert (server.opened, elsewhere.opened) == (1, 0)


async def test_cve_2026_53708_a_name_is_resolved_once_and_the_vetted_address_dialled() -> None:
    """Row 122: an answer that turns to loopback after the check leads nowhere."""
    answers = [["192.0.2.1"], ["127.0.0.1"], ["127.0.0.1"]]

    async def rebinding(host: str, port: int) -> list[str]:
        return answers.pop(0)

    async with Scripted([READ, OK]) as server:
        service = upstream(url=f"http://rebind.example:{server.port}", internal=False, resolve=rebinding)
        for _ in range(3):
            with pytest.raises(UpstreamUnreachable):
                await service.transport(RouteTimeouts(), drop_cookies=True).send(outbound())
        assert server.opened == 0


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001", "127.0.0.1."])
def test_cve_2026_44430_odd_spellings_of_loopback_are_no_host(host: str) -> None:
    """Row 123; the address classes are in tests/unit/core/test_addresses.py and tests/unit/upstream/test_target.py."""
    with pytest.raises(ValueError):
        parse_target(f"http://{host}")


async def test_a_cut_answer_is_seen_as_cut() -> None:
    """A body that ends early must not look complete to whoever receives it."""
    async with Scripted([READ, b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", *[b"x"]]) as server:
        response = await transport(server.port, timeouts={"idle": "50ms"}).send(outbound())
        with pytest.raises(Exception, match="too long"):
            await body_of(response)


def test_the_list_of_owned_names_covers_what_is_added() -> None:
    """Lesson (c): headers stripped and headers set are one list."""
    made = sent()
    covered = [folded(name.rstrip(b"*")) for name in OWNED] + [b"host", b"via"]
    for name, _ in fields_of(made):
        assert folded(name).startswith(tuple(covered)), name
