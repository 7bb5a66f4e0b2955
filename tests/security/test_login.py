"""Logins as they are attacked: state, codes, ID tokens, redirects, fixation, tossed cookies, forged writes (attacks 89 to 98)."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
import pytest_asyncio

from tests.house import House, Upstream, request_bytes
from tests.issuer import EcKey, SharedKey, b64, mint
from tests.login import HOST, LOGOUT, ORIGIN, PAGE, SECRET, SESSION, STATE, Browser, Moved, ScriptedProvider, login_house

pytestmark = pytest.mark.asyncio(loop_scope="module")
Shared = tuple[House, list[ScriptedProvider]]
Signs = Callable[[ScriptedProvider, dict[str, Any]], str]


async def test_a_browser_logs_in_and_holds_nothing_but_a_session(tmp_path: Path) -> None:
    async with login_house(tmp_path) as (gateway, [corp]):
        browser = Browser(gateway)
        sent = await browser.get("/app/home?x=1", headers=PAGE)
        assert (sent.status, sent["location"]) == (303, f"{ORIGIN}/.gateway/login?provider=corp&rd=%2Fapp%2Fhome%3Fx%3D1")
        back = await browser.login(corp, "/app/home?x=1")
        assert (back.status, back["location"], back["referrer-policy"]) == (303, f"{ORIGIN}/app/home?x=1", "no-referrer")
        assert "no-store" in back["cache-control"]
        assert browser.jar.keys() == {SESSION}
        [line] = [line for line in back.all("set-cookie") if line.startswith(SESSION + "=")]
        assert {part.strip() for part in line.split(";")[1:]} >= {"Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=86400"}
        who = await browser.whoami()
        assert (who["subject"], who["issuer"], who["scheme"]) == ("alice", "corp", "session")
        assert (await browser.get("/app/home")).status == 200
        assert (await browser.write()).status == 200
        assert not [seen for seen in gateway.upstream.seen if "cookie" in seen.names]
        event = (await gateway.requests())[-1]
        assert (event["issuer"], event["subject"], event["scheme"]) == ("corp", "alice", "session")
        everything = str(await gateway.events()) + str(browser.jar) + str(back.headers)
        assert "canary" not in everything
        assert [name for name, _ in corp.headers[0] if name.lower() == "authorization"]
        assert corp.tokens[0].keys() == {"grant_type", "code", "redirect_uri", "code_verifier"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept": "application/json"},
        {"Accept": "application/json, text/html;q=0.5"},
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "text/html"},
        {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        {**PAGE, "Authorization": "Bearer garbage"},
        {"Accept": "text/html;q=0"},
    ],
    ids=["nothing", "json", "rather json", "script", "frame", "garbage bearer", "html unwanted"],
)
async def test_programs_are_told_401(tmp_path: Path, headers: dict[str, str]) -> None:
    async with login_house(tmp_path) as (gateway, _):
        for path in ("/app/home", "/either/x"):
            reply = await gateway.get(path, headers=headers, host=HOST)
            assert (reply.status, "www-authenticate" in dict(reply.headers)) == (401, True)
        assert gateway.upstream.seen == []


@pytest.mark.parametrize(
    "rd",
    [
        "//evil.test", "/\\evil.test", "/%09/evil.test", "https:evil.test", "https://gw.test.evil", "https://gw.test@evil.test",
        "///evil.test", "/\t/evil.test", "\\\\evil.test", "/%2f/evil.test", "/%5cevil.test", "/%2f%2fevil.test", "/..//evil.test",
        "/a/../..//evil", "/a/%2e%2e/b", "/.//evil.test", "javascript:alert(1)", "evil.test", "", "/a\r\nSet-Cookie: x=y", "/%0d%0aX:y",
        "/%252f/evil.test", "/a#//evil.test", "/%c0%af/evil.test\x00", "http:///evil.test", "/" + "a" * 3000, "/%20/evil.test",
    ],
)  # fmt: skip
async def test_open_redirect_of_the_target_ends_at_the_root(shared: Shared, rd: str) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    begun = await browser.get(f"/.gateway/login?provider=corp&rd={quote(rd, safe='')}", headers=PAGE)
    if "\0" in rd:
        assert (begun.status, begun.json()["type"]) == (400, "urn:latchgate:problem:query-invalid")
        return
    assert begun.status == 303
    assert (await browser.get(corp.authorised(begun["location"])))["location"] == f"{ORIGIN}/"


async def test_open_redirect_by_a_protocol_relative_path(shared: Shared) -> None:
    gateway, _ = shared
    reply = await gateway.get("//evil.test/%2f..", headers=PAGE, host=HOST)
    assert (reply.status, reply.get("location")) == (400, None)


async def test_what_an_agent_signs_for_others_keeps_nobody_from_the_login_or_a_token(shared: Shared) -> None:
    """Browser agents add a signature for whoever asks for one (web-bot-auth), and these routes do not."""
    gateway, _ = shared
    said = 'sig1=("@authority" "signature-agent");created=1;expires=2;keyid="abc";tag="web-bot-auth"'
    agent = {"Signature-Agent": '"https://agent.example"', "Signature-Input": said, "Signature": "sig1=:AAAA:"}
    assert (await gateway.get("/app/home", headers=PAGE | agent, host=HOST)).status == 303
    token = {"Authorization": f"Bearer {gateway.keys.token(groups=['staff'])}"}
    assert (await gateway.get("/either/x", headers=token | agent, host=HOST)).status == 200
    seen = gateway.upstream.seen[-1]
    assert seen.all("signature") == seen.all("signature-input") == []


async def begun(browser: Browser, provider: ScriptedProvider, **more: str) -> str:
    """Where the provider sends the browser back to."""
    reply = await browser.get(f"/.gateway/login?{urlencode({'provider': provider.name, **more})}", headers=PAGE)
    assert reply.status == 303
    return provider.authorised(reply["location"])


async def refused(browser: Browser, back: str, status: int = 400, reason: str = "state-invalid") -> None:
    reply = await browser.get(back, headers=PAGE)
    assert (reply.status, reply.json()["type"]) == (status, f"urn:latchgate:problem:{reason}")
    state = parse_qs(urlsplit(back).query).get("state", [""])[0]
    cleared = [line for line in reply.all("set-cookie") if line.startswith(STATE)]
    assert [line.partition("=")[0] for line in cleared] == ([STATE + state[0]] if len(state) == 44 else [])
    assert all({"Secure", "HttpOnly", "Path=/", "Max-Age=0"} <= {part.strip() for part in line.split(";")} for line in cleared)
    assert not [line for line in reply.all("set-cookie") if line.startswith(SESSION + "=")]


def changed(back: str, **over: str | None) -> str:
    query = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()} | over
    told = urlencode({name: value for name, value in query.items() if value is not None})
    return f"{back.partition('?')[0]}?{told}"


async def test_state_of_another_browser_is_refused(shared: Shared) -> None:
    gateway, [corp, _] = shared
    attacker, victim = Browser(gateway), Browser(gateway)
    theirs, own = await begun(attacker, corp), await begun(victim, corp)
    await refused(victim, theirs)
    assert own
    await refused(Browser(gateway), theirs)
    assert (await attacker.get(theirs)).status == 303


async def test_state_is_good_once(shared: Shared) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    back = await begun(browser, corp)
    jar = dict(browser.jar)
    assert (await browser.get(back)).status == 303
    before = len(corp.tokens)
    browser.jar = jar
    await refused(browser, back)
    assert len(corp.tokens) == before


async def test_a_code_that_was_used_is_refused(shared: Shared) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    code = parse_qs(urlsplit(first := await begun(browser, corp)).query)["code"][0]
    assert (await browser.get(first)).status == 303
    await refused(browser, changed(await begun(browser, corp), code=code), 401, "credential-invalid")


async def test_a_code_of_another_login_is_refused_by_pkce(shared: Shared) -> None:
    gateway, [corp, _] = shared
    stolen = parse_qs(urlsplit(await begun(Browser(gateway), corp)).query)["code"][0]
    browser = Browser(gateway)
    await refused(browser, changed(await begun(browser, corp), code=stolen), 401, "credential-invalid")


@pytest.mark.parametrize(
    "over", [{"state": None}, {"state": ""}, {"state": "x"}, {"code": None}, {"iss": None}, {"iss": "https://x"}]
)
async def test_an_answer_that_lacks_something_is_refused(shared: Shared, over: dict[str, str | None]) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    await refused(browser, changed(await begun(browser, corp), **over))


async def test_mixed_up_issuers_are_refused(shared: Shared) -> None:
    """RFC 9700 4.4: an answer by another provider's redirect URI, and one that names another provider."""
    gateway, [corp, partner] = shared
    browser = Browser(gateway)
    back = await begun(browser, corp)
    await refused(browser, back.replace("/callback/corp", "/callback/partner"))
    await refused(browser, changed(await begun(browser, corp), iss=partner.issuer))


async def test_a_parameter_that_comes_twice_is_refused(shared: Shared) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    back = await begun(browser, corp)
    await refused(browser, back + "&state=x")


@pytest.mark.parametrize("kind", ["garbage", "empty", "swapped", "twice", "long", "session in its place"])
async def test_a_tampered_login_cookie_is_refused(shared: Shared, kind: str) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    back = await begun(browser, corp)
    [(name, value)] = browser.pending.items()
    flipped = value[:20] + ("A" if value[20] != "A" else "B") + value[21:]
    cookie = {"garbage": "x" * 80, "empty": "", "swapped": flipped, "long": "A" * 4000, "session in its place": "A" * 43}.get(
        kind, value
    )
    headers = {"Cookie": f"{name}={cookie}" + (f"; {name}={value}" if kind == "twice" else "")}
    reply = await browser.get(back, headers=headers)
    assert (reply.status, reply.json()["type"]) == (400, "urn:latchgate:problem:state-invalid")


async def test_the_providers_error_is_told_bounded_and_escaped(shared: Shared) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    text = "<script>alert(1)</script>\r\nSet-Cookie: a=b" + "x" * 5000
    back = changed(await begun(browser, corp), error="access_denied<b>", error_description=text, code=None)
    reply = await browser.get(back)
    assert (reply.status, reply["content-type"], reply["x-content-type-options"]) == (401, "application/problem+json", "nosniff")
    told = reply.json()
    assert told["provider_error"] == "access_deniedb"
    assert len(told["provider_error_description"]) <= 200
    assert b"<" not in reply.body
    assert browser.pending == {}


UNSIGNED = b'{"alg":"none","typ":"JWT"}'


def none(provider: ScriptedProvider, claims: dict[str, Any]) -> str:
    body = mint(provider.key, claims).split(".")[1]
    return f"{b64(UNSIGNED)}.{body}."


def by_secret(provider: ScriptedProvider, claims: dict[str, Any]) -> str:
    return mint(SharedKey(SECRET.encode() * 3), claims)


def by_another(provider: ScriptedProvider, claims: dict[str, Any]) -> str:
    return mint(EcKey(provider.key.kid), claims)


def as_logout(provider: ScriptedProvider, claims: dict[str, Any]) -> str:
    return mint(provider.key, claims, typ="logout+jwt")


NOW = int(time.time())
FORGED: dict[str, tuple[dict[str, Any], Signs | None]] = {
    "alg none": ({}, none),
    "HMAC by the client secret": ({}, by_secret),
    "another key": ({}, by_another),
    "another type": ({}, as_logout),
    "wrong nonce": ({"nonce": "x"}, None),
    "no nonce": ({"nonce": None}, None),
    "another issuer": ({"iss": "https://evil.test"}, None),
    "another audience": ({"aud": "others"}, None),
    "an audience nobody knows beside": ({"aud": ["gateway", "others"], "azp": "gateway"}, None),
    "issued to another party": ({"azp": "others"}, None),
    "expired": ({"exp": NOW - 3600}, None),
    "no expiry": ({"exp": None}, None),
    "of the future": ({"iat": NOW + 86400}, None),
    "another access token": ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, None),
    "another code": ({"c_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, None),
    "no subject": ({"sub": None}, None),
    "a control character in the subject": ({"sub": "a\nb"}, None),
    "groups that are no text": ({"groups": [1]}, None),
}


@pytest.mark.parametrize("name", FORGED)
async def test_an_id_token_that_is_forged_or_for_others_opens_no_session(shared: Shared, name: str) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    corp.claims, corp.signs = FORGED[name]
    await refused(browser, await begun(browser, corp), 401, "credential-invalid" if name != "expired" else "credential-expired")


async def test_fixation_a_login_never_keeps_what_was_presented(shared: Shared) -> None:
    gateway, [corp, _] = shared
    attacker, victim = Browser(gateway), Browser(gateway)
    await attacker.login(corp)
    planted = attacker.jar[SESSION]
    for value in (planted, "A" * 43):
        victim.jar[SESSION] = value
        await victim.login(corp)
        assert victim.jar[SESSION] != value
    assert (await attacker.get("/app/home")).status == 401, "what was presented at a login is over"
    first = victim.jar[SESSION]
    await victim.login(corp)
    assert victim.jar[SESSION] != first
    victim.jar[SESSION] = first
    assert (await victim.get("/app/home")).status == 401


async def test_cookie_tossing_is_refused(shared: Shared) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    await browser.login(corp)
    mine, seen = browser.jar[SESSION], len(gateway.upstream.seen)
    for cookie, status in (
        (f"{SESSION}={'A' * 43}; {SESSION}={mine}", 400),
        (f"{SESSION}={mine}; {SESSION}={mine}", 400),
        (f"gateway={mine}", 401),
        (f"__host-gateway={mine}", 401),
        (f"__Secure-gateway={mine}", 401),
        (f"{SESSION}={mine}x", 401),
        (f"{SESSION}={mine[:-1]}", 401),
        (f'{SESSION}="{mine}"', 401),
        (f"{SESSION}=", 401),
    ):
        for path in ("/app/home", "/.gateway/session"):
            assert (await browser.get(path, headers={"Cookie": cookie})).status == status, cookie
    assert len(gateway.upstream.seen) == seen


async def test_an_upstream_sets_no_cookie_of_ours(shared: Shared) -> None:
    gateway, [_corp, _] = shared
    gateway.upstream.answer = (
        f"HTTP/1.1 200 OK\r\nSet-Cookie: {SESSION}=x; Path=/\r\nSet-Cookie: {STATE}f=x\r\nContent-Length: 0\r\n\r\n".encode()
    )
    reply = await gateway.get("/open/x", host=HOST)
    assert reply.all("set-cookie") == []


FORGERIES: dict[str, dict[str, str | None]] = {
    "no origin": {"Origin": None, "Sec-Fetch-Site": None},
    "another origin": {"Origin": "https://evil.test"},
    "origin null": {"Origin": "null", "Sec-Fetch-Site": None},
    "a sandboxed frame": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    "a sub-domain": {"Origin": "https://x.gw.test", "Sec-Fetch-Site": "same-site"},
    "plain http": {"Origin": "http://gw.test"},
    "cross-site": {"Sec-Fetch-Site": "cross-site"},
    "no token": {"X-CSRF-Token": None},
    "a wrong token": {"X-CSRF-Token": "0" * 64},
    "an empty token": {"X-CSRF-Token": ""},
}


async def test_a_form_of_a_page_that_tells_no_referrer_may_write(shared: Shared) -> None:
    """Its Origin is `null` (Fetch 3.2.5), and `Referrer-Policy: no-referrer` is what the gateway adds to every page."""
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    await browser.login(corp)
    assert (await browser.write(Origin="null")).status == 200


@pytest.mark.parametrize("name", FORGERIES)
async def test_forged_writes_are_refused(shared: Shared, name: str) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    await browser.login(corp)
    session = (await browser.whoami())["session"]
    seen = len(gateway.upstream.seen)
    for path, method in (
        ("/app/things", "POST"),
        ("/app/things", "DELETE"),
        ("/.gateway/logout", "POST"),
        (f"/.gateway/sessions/{session}", "DELETE"),
    ):
        over = {key.replace("-", "_"): value for key, value in FORGERIES[name].items()}
        reply = await browser.write(path, method=method, **over)
        assert (reply.status, reply.json()["type"]) == (403, "urn:latchgate:problem:origin-denied"), path
    assert len(gateway.upstream.seen) == seen
    assert (await browser.whoami())["session"] == session


async def test_the_csrf_token_of_another_session_is_refused(shared: Shared) -> None:
    gateway, [corp, _] = shared
    one, other = Browser(gateway), Browser(gateway)
    await one.login(corp)
    await other.login(corp)
    theirs = (await other.whoami())["csrf_token"]
    assert (await one.write(X_CSRF_Token=theirs)).status == 403
    assert (await one.write()).status == 200


async def test_an_upgrade_from_another_origin_is_refused(shared: Shared) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    await browser.login(corp)
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "A" * 22 + "==",
    }
    for origin in (None, "https://evil.test", "null"):
        reply = await browser.get(
            "/app/socket",
            headers=handshake | ({"Origin": origin} if origin else {}) | {"Cookie": f"{SESSION}={browser.jar[SESSION]}"},
        )
        assert reply.status == 403, origin


async def test_cve_2023_35941_a_session_is_of_no_use_at_another_host(shared: Shared) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    await browser.login(corp)
    browser.host = "evil.test"
    assert (await browser.get("/app/home")).status == 401
    assert (await browser.get("/.gateway/session")).status == 421


async def test_cve_2023_35941_a_session_of_another_provider_is_not_accepted(shared: Shared) -> None:
    gateway, [_corp, partner] = shared
    browser = Browser(gateway)
    await browser.login(partner)
    assert (await browser.whoami())["issuer"] == "partner"
    assert (await browser.get("/both/x")).status == 200
    assert (await browser.get("/app/home")).status == 401
    assert (await browser.get("/tokens/x")).status == 401


async def test_a_stale_cookie_is_cleared_at_the_login(shared: Shared) -> None:
    gateway, [corp, _] = shared
    for value in ("A" * 43, "garbage"):
        browser = Browser(gateway)
        browser.jar[SESSION] = value
        await begun(browser, corp)
        assert SESSION not in browser.jar


async def test_a_session_does_not_survive_its_logout(shared: Shared) -> None:
    """Also not on a connection that is kept, which had its principal remembered."""
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    await browser.login(corp)
    cookie = f"{SESSION}={browser.jar[SESSION]}"
    again = request_bytes("/app/home", headers={"Cookie": cookie}, host=HOST)
    reader, writer = await asyncio.open_connection(*gateway.address())
    try:
        for _ in range(3):
            writer.write(again)
            assert b"200 OK" in await reader.readuntil(b'{"ok":true}')
        out = await browser.write("/.gateway/logout")
        assert (out.status, SESSION in browser.jar) == (303, False)
        location = urlsplit(out["location"])
        assert f"{location.scheme}://{location.netloc}{location.path}" == f"{corp.issuer}/end"
        assert parse_qs(location.query) == {"client_id": ["gateway"], "post_logout_redirect_uri": [f"{ORIGIN}/"]}
        writer.write(again)
        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
    finally:
        writer.close()
    assert (await browser.get("/app/home", headers={"Cookie": cookie})).status == 401


async def test_a_form_logs_out_with_the_token_in_it(shared: Shared) -> None:
    """A page leads it on: `form-action 'self'`, which the gateway adds to every page, holds for redirects as well."""
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    await browser.login(corp)
    token = (await browser.whoami())["csrf_token"]
    headers = {"Origin": ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}
    cookie = {"Cookie": f"{SESSION}={browser.jar[SESSION]}"}
    bad, twice = (403, "urn:latchgate:problem:origin-denied"), (400, "urn:latchgate:problem:query-invalid")
    for body, told in ((b"", bad), (b"csrf_token=x", bad), (f"csrf_token={token}&csrf_token={token}".encode(), twice)):
        refused = await browser.get("/.gateway/logout", method="POST", headers=headers | cookie, body=body)
        assert (refused.status, refused.json()["type"]) == told, body
    reply = await browser.get("/.gateway/logout", method="POST", headers=headers | cookie, body=f"csrf_token={token}".encode())
    assert (reply.status, browser.jar) == (200, {})
    assert f'content="0;url={corp.issuer}/end?' in reply.body.decode()


async def test_people_list_and_end_their_own_sessions_and_nobody_elses(shared: Shared) -> None:
    gateway, [corp, _] = shared
    corp.claims = {"sub": "lister"}
    one, two, other = Browser(gateway), Browser(gateway), Browser(gateway)
    await one.login(corp)
    await two.login(corp)
    corp.claims = {"sub": "mallory"}
    await other.login(corp)
    mine = (await one.get("/.gateway/sessions")).json()["sessions"]
    assert [each["current"] for each in mine] == [True, False]
    assert "canary" not in str(mine)
    assert one.jar[SESSION] not in str(mine)
    name = (await two.whoami())["session"]
    assert (await other.write(f"/.gateway/sessions/{name}", method="DELETE")).status == 404
    assert (await one.write(f"/.gateway/sessions/{name}", method="DELETE")).status == 204
    assert (await two.get("/app/home")).status == 401
    assert (await one.get("/app/home")).status == 200


async def test_a_weaker_login_than_asked_for_opens_no_session(shared: Shared) -> None:
    gateway, [corp, _] = shared
    for asked, claims in (
        ({"acr_values": "gold"}, {"acr": "bronze"}),
        ({"acr_values": "gold"}, {}),
        ({"max_age": "60"}, {"auth_time": NOW - 3600}),
        ({"max_age": "60"}, {"auth_time": None}),
    ):
        corp.claims, browser = claims, Browser(gateway)
        await refused(browser, await begun(browser, corp, **asked), 401, "credential-invalid")


async def test_step_up_sends_browsers_to_a_stronger_login_and_tells_programs(shared: Shared) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    await browser.login(corp)
    told = await browser.get("/vault/x", headers={"Accept": "application/json", "Cookie": f"{SESSION}={browser.jar[SESSION]}"})
    assert (told.status, told.json()["acr_values"], told.json()["max_age"]) == (401, "gold", 600)
    assert 'error="insufficient_user_authentication"' in told["www-authenticate"]
    sent = await browser.get("/vault/x", headers=PAGE)
    assert sent.status == 303
    begins = await browser.get(sent["location"], headers=PAGE)
    asked = parse_qs(urlsplit(begins["location"]).query)
    assert (asked["acr_values"], asked["max_age"]) == (["gold"], ["600"])
    corp.claims, before = {"acr": "gold"}, browser.jar[SESSION]
    back = await browser.get(corp.authorised(begins["location"]))
    assert (back["location"], browser.jar[SESSION] != before) == (f"{ORIGIN}/vault/x", True)
    assert (await browser.get("/vault/x")).status == 200


async def backchannel(gateway: House, token: str, name: str = "corp") -> int:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"logout_token": token}).encode()
    reply = await gateway.get(f"/.gateway/backchannel/{name}", method="POST", headers=headers, body=body, host="gw.internal")
    assert "no-store" in reply["cache-control"]
    return int(reply.status)


async def test_a_provider_ends_sessions_by_the_back_channel(shared: Shared) -> None:
    gateway, [corp, _] = shared
    for over in ({"sub": None}, {"sid": None}):
        corp.claims = {"sub": "bob", "sid": "sid-bob"}
        browser = Browser(gateway)
        await browser.login(corp)
        assert (await browser.get("/app/home")).status == 200
        named: dict[str, Any] = {"sub": "bob", "sid": "sid-bob"} | over
        token = corp.logout_token(**named)
        assert await backchannel(gateway, token) == 200
        assert (await browser.get("/app/home")).status == 401
        assert await backchannel(gateway, token) == 400, "a logout token is good once"


BAD_LOGOUTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an ID token": ({"events": None, "nonce": "x"}, {"typ": "JWT"}),
    "with a nonce": ({"nonce": "x"}, {}),
    "an access token's type": ({}, {"typ": "at+jwt"}),
    "no event": ({"events": {}}, {}),
    "an event that is no object": ({"events": {LOGOUT: True}}, {}),
    "nobody": ({"sub": None, "sid": None}, {}),
    "no id": ({"jti": None}, {}),
    "another audience": ({"aud": "others"}, {}),
    "another issuer": ({"iss": "https://evil.test"}, {}),
    "expired": ({"exp": NOW - 3600}, {}),
    "old": ({"iat": NOW - 3600}, {}),
    "another key": ({}, {"key": EcKey()}),
}


@pytest.mark.parametrize("name", BAD_LOGOUTS)
async def test_what_is_no_logout_token_ends_nothing(shared: Shared, name: str) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    await browser.login(corp)
    claims, how = BAD_LOGOUTS[name]
    assert await backchannel(gateway, corp.logout_token(how.get("key"), how.get("typ", "logout+jwt"), **claims)) == 400
    assert (await browser.get("/app/home")).status == 200


async def test_the_tokens_never_reach_the_browser(shared: Shared) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    replies = [await browser.login(corp)]
    replies += [
        await browser.get(path)
        for path in ("/.gateway/session", "/.gateway/sessions", "/app/home", "/.gateway/login?provider=corp")
    ]
    replies.append(await browser.write("/.gateway/logout"))
    told = str([(reply.headers, reply.body) for reply in replies])
    assert "canary" not in told
    assert ".eyJ" not in told


async def test_cve_2021_41230_removed_groups_end_access_within_the_stated_time(tmp_path: Path) -> None:
    clock = Moved()
    async with login_house(tmp_path, clock=clock, refresh="100s") as (gateway, [corp]):
        browser = Browser(gateway)
        await browser.login(corp)
        assert (await browser.get("/app/home")).status == 200
        corp.claims = {"groups": []}
        clock.ahead += 110
        assert (await browser.get("/app/home")).status == 403
        assert corp.refreshed == 1
        assert corp.tokens[-1]["refresh_token"] == ["canary-refresh-1"]
        corp.claims = {"groups": ["staff"]}
        clock.ahead += 110
        answers = await asyncio.gather(*(browser.get("/app/home") for _ in range(8)))
        assert {answer.status for answer in answers} == {200}
        assert (corp.refreshed, corp.tokens[-1]["refresh_token"]) == (2, ["canary-refresh-2"])
        corp.refuses_refresh = (503, {})
        clock.ahead += 110
        assert (await browser.get("/app/home")).status == 503
        clock.ahead += 110
        corp.refuses_refresh = (400, {"error": "invalid_grant"})
        assert (await browser.get("/app/home")).status == 401
        corp.refuses_refresh = None
        assert (await browser.get("/app/home")).status == 401
        ended = [event for event in await gateway.events() if event["event"] == "session.ended"]
        assert [(event["cause"], event["subject"]) for event in ended] == [("the provider refused a refresh", "alice")]


@pytest.mark.parametrize(
    "over", [{"sub": "mallory"}, {"iss": "https://evil.test"}, {"aud": "others"}, {"auth_time": 1}, {"nonce": "x"}]
)
async def test_a_refresh_for_somebody_else_ends_the_session(tmp_path: Path, over: dict[str, Any]) -> None:
    clock = Moved()
    async with login_house(tmp_path, clock=clock, refresh="100s") as (gateway, [corp]):
        browser = Browser(gateway)
        await browser.login(corp)
        corp.claims = over
        clock.ahead += 110
        assert (await browser.get("/app/home")).status == 401


async def test_without_an_id_token_the_claims_are_asked_for(tmp_path: Path) -> None:
    clock = Moved()
    async with login_house(tmp_path, clock=clock, refresh="100s") as (gateway, [corp]):
        browser = Browser(gateway)
        await browser.login(corp)
        corp.id_token_on_refresh = False
        clock.ahead += 110
        assert (await browser.get("/app/home")).status == 403, "UserInfo tells of other groups"


async def test_without_a_refresh_token_a_session_ends_when_its_claims_are_due(tmp_path: Path) -> None:
    clock = Moved()
    async with login_house(tmp_path, clock=clock, refresh="100s") as (gateway, [corp]):
        corp.refreshes = False
        browser = Browser(gateway)
        await browser.login(corp)
        assert (await browser.get("/app/home")).status == 200
        clock.ahead += 110
        assert (await browser.get("/app/home")).status == 401


@pytest.mark.parametrize(
    ("step", "times", "status"), [(500, 3, 200), (700, 1, 401), (500, 4, 401)], ids=["in use", "idle", "absolute"]
)
async def test_cve_2023_35941_a_session_ends_when_it_is_idle_and_at_its_absolute_end(
    tmp_path: Path, step: int, times: int, status: int
) -> None:
    session = {"idle": "600s", "absolute": "1800s"}
    clock = Moved()
    async with login_house(tmp_path, session=session, clock=clock, refresh="none") as (gateway, [corp]):
        browser = Browser(gateway)
        await browser.login(corp)
        reply = None
        for _ in range(times):
            clock.ahead += step
            reply = await browser.get("/app/home")
        assert reply is not None
        assert reply.status == status


async def test_strict_cookies_survive_the_way_back(tmp_path: Path) -> None:
    """A redirect that began at the provider brings no strict cookie: our own page leads on."""
    async with login_house(tmp_path, session={"same_site": "strict"}) as (gateway, [corp]):
        browser = Browser(gateway)
        back = await browser.login(corp, "/app/home?a=1&b=2")
        assert (back.status, back["content-type"]) == (200, "text/html; charset=utf-8")
        assert b'content="0;url=https://gw.test/app/home?a=1&amp;b=2"' in back.body
        assert "SameSite=Strict" in next(line for line in back.all("set-cookie") if line.startswith(SESSION + "="))


async def test_several_providers_are_offered_and_no_markup_passes(shared: Shared) -> None:
    gateway, _ = shared
    reply = await gateway.get("/.gateway/login?rd=/a%22%3E%3Cscript%3E", host=HOST)
    assert (reply.status, reply.body.count(b"<a "), b"<script" in reply.body) == (200, 2, False)
    assert (await gateway.get("/.gateway/login?provider=nobody", host=HOST)).status == 400


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[House, list[ScriptedProvider]]]:
    async with login_house(tmp_path_factory.mktemp("logins"), "corp", "partner") as made:
        yield made


@pytest.fixture
def shared(running: tuple[House, list[ScriptedProvider]]) -> tuple[House, list[ScriptedProvider]]:
    """One gateway for all, its providers and its upstream as they were."""
    gateway, made = running
    plain = Upstream()
    gateway.upstream.answer = plain.answer
    for each in made:
        each.claims, each.signs, each.refuses, each.since = {}, None, None, int(time.time())
    return running
