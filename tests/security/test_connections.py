"""Accounts that people connect, as they are attacked: somebody else's code or token, states, mix-ups, frames, redirects (attacks 89 to 98)."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
import pytest_asyncio

from tests.connecting import BASE, FORM, HTML, Person, Place, connecting
from tests.house import Reply
from tests.login import ORIGIN, PAGE, SESSION

pytestmark = pytest.mark.asyncio(loop_scope="module")
STATE = "__Host-gateway-connect"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with connecting(tmp_path_factory.mktemp("connect"), "tracker", "wiki", same_people={"tokens": "corp"}) as here:
        yield here


def sent(place: Place) -> list[str]:
    return [value for seen in place.gateway.upstream.seen for value in seen.all("authorization")]


async def told(place: Place, event: str, subject: str) -> list[dict[str, Any]]:
    return [each for each in await place.gateway.events() if each["event"] == event and each["subject"] == subject]


async def refused(person: Person, back: str, status: int = 400, reason: str = "state-invalid") -> Reply:
    reply = await person.get(back, headers=PAGE)
    assert (reply.status, reply.json()["type"]) == (status, f"urn:latchgate:problem:{reason}"), reply.body
    [line] = [line for line in reply.all("set-cookie") if line.startswith(STATE + "=")]
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=0"} <= {part.strip() for part in line.split(";")}
    assert (reply["referrer-policy"], "no-store" in reply["cache-control"]) == ("no-referrer", True)
    return reply


def changed(back: str, **over: str | None) -> str:
    query = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()} | over
    return f"{back.partition('?')[0]}?{urlencode({name: value for name, value in query.items() if value is not None})}"


async def test_a_person_connects_uses_and_disconnects(place: Place) -> None:
    alice, before = await place.person("alice"), len(sent(place))
    missing = await alice.get("/app/x")
    assert (missing.status, missing.json()["connect_url"]) == (403, f"{ORIGIN}{BASE}/tracker/connect")
    url = await alice.begun()
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert (asked["redirect_uri"], asked["scope"]) == (f"{ORIGIN}{BASE}/tracker/callback", "read")
    assert (asked["response_type"], asked["code_challenge_method"], len(asked["code_challenge"])) == ("code", "S256", 43)
    back = await alice.get(place.tracker.authorised(url), headers=PAGE)
    assert (back.status, back["location"], STATE in alice.jar) == (303, f"{ORIGIN}{BASE}", False)
    assert (await alice.get("/app/x")).status == 200
    assert sent(place)[before:] == [f"Bearer {list(place.tracker.live)[-1]}"]
    own = (await alice.connections())["tracker"]
    assert (own["state"], own["account"], own["name"], own["scopes"]) == ("connected", "41", "octo-alice", ["read"])
    assert b"octo-alice" in (await alice.get(BASE, headers=HTML)).body
    ended = await alice.form(f"{BASE}/tracker/disconnect")
    assert (ended.status, ended["location"]) == (303, f"{ORIGIN}{BASE}")
    assert (await alice.get("/app/x")).status == 403, "at once, not within a second"
    assert {form["token_type_hint"] for form in place.tracker.posted("/revoke")} == {"refresh_token", "access_token"}
    [made], [gone] = [await told(place, event, "alice") for event in ("grant.connected", "grant.disconnected")]
    assert (made["account"], made["scopes"], made["replaced"], made["client"]) == ("41", ["read"], False, "127.0.0.1")
    assert (gone["revoked"], gone["version"], bool(gone["request_id"])) == ("yes", made["version"], True)
    assert "canary" not in str(await place.gateway.events())


async def test_login_csrf_somebody_elses_code_in_my_browser_is_refused(place: Place) -> None:
    """CVE-2026-41425: the attacker's account must not become the victim's connection."""
    mallory, victim = await place.person("mallory"), await place.person("victim")
    theirs = place.tracker.authorised(await mallory.begun())
    await refused(victim, theirs)
    own = await victim.begun()
    await refused(victim, theirs)
    victim.jar[STATE] = mallory.jar[STATE]  # tossed
    await refused(victim, theirs)
    own = await victim.begun()
    code = parse_qs(urlsplit(theirs).query)["code"][0]
    await refused(victim, changed(place.tracker.authorised(own), code=code), 401, "credential-invalid")
    assert (await victim.connections())["tracker"]["state"] == "none"


async def test_a_state_of_another_session_of_the_same_person_is_refused(place: Place) -> None:
    first, second = await place.person("anna"), await place.person("anna")
    back = place.tracker.authorised(await first.begun())
    second.jar[STATE] = first.jar[STATE]
    await refused(second, back)
    assert (await first.get(back)).status == 303


async def test_two_people_in_one_browser_do_not_cross(place: Place) -> None:
    person = await place.person("bob")
    back, state = place.tracker.authorised(await person.begun()), person.jar[STATE]
    place.corp.claims = {"sub": "carol", "sid": "sid-carol"}
    assert (await person.login(place.corp)).status == 303
    assert (await person.whoami())["subject"] == "carol"
    person.jar[STATE] = state
    await refused(person, back)
    assert (await person.connections())["tracker"]["state"] == "none"


async def test_a_callback_without_a_session_keeps_nothing(place: Place) -> None:
    person = await place.person("dora")
    back = place.tracker.authorised(await person.begun())
    del person.jar[SESSION]
    exchanged = len(place.tracker.used)
    await refused(person, back, 401, "credential-missing")
    assert len(place.tracker.used) == exchanged


async def test_a_state_is_good_once(place: Place) -> None:
    person = await place.person("emil")
    back = place.tracker.authorised(await person.begun())
    state = person.jar[STATE]
    assert (await person.get(back)).status == 303
    asked = len(place.tracker.posted("/token"))
    person.jar[STATE] = state
    await refused(person, back)
    assert len(place.tracker.posted("/token")) == asked


@pytest.mark.parametrize("over", [{"state": None}, {"state": "x"}, {"code": None}, {"code": "\u00e9"}], ids=str)
async def test_an_answer_that_lacks_something_is_refused(place: Place, over: dict[str, str | None]) -> None:
    person = await place.person("finn")
    await refused(person, changed(place.tracker.authorised(await person.begun()), **over))


@pytest.mark.parametrize("kind", ["garbage", "flipped", "twice", "long", "none", "a login's"])
async def test_a_tampered_cookie_is_refused(place: Place, kind: str) -> None:
    person = await place.person("gina")
    back = place.tracker.authorised(await person.begun())
    value = person.jar[STATE]
    flipped = value[:30] + ("A" if value[30] != "A" else "B") + value[31:]
    begun = await Person(place.gateway).get("/.gateway/login?provider=corp", headers=PAGE)
    login = begun["set-cookie"].partition("=")[2].partition(";")[0]
    cookie = {"garbage": "x" * 80, "flipped": flipped, "long": "A" * 4000, "none": None, "a login's": login}.get(kind, value)
    held = f"{SESSION}={person.jar[SESSION]}" + ("" if cookie is None else f"; {STATE}={cookie}")
    reply = await person.get(back, headers={**PAGE, "Cookie": held + (f"; {STATE}={value}" if kind == "twice" else "")})
    assert (reply.status, reply.json()["type"]) == (400, "urn:latchgate:problem:state-invalid")


async def test_a_mix_up_of_two_providers_is_refused(place: Place) -> None:
    """RFC 9700 4.4: a code that one provider gave must not be shown to the other, by whichever redirect URI it comes."""
    person = await place.person("hugo")
    back = place.tracker.authorised(await person.begun("tracker"))
    await refused(person, back.replace("/tracker/callback", "/wiki/callback"))
    assert place.accounts["wiki"].posted("/token") == []


@pytest.mark.parametrize("rd", ["//evil.test", "/\\evil.test", "https://evil.test", "/%2f/evil.test", "javascript:alert(1)"])
async def test_open_redirect_after_a_connection_ends_at_the_root(place: Place, rd: str) -> None:
    person = await place.person("ines")
    back = await person.connected(place.tracker, rd=rd)
    assert (back.status, back["location"]) == (303, f"{ORIGIN}/")


async def test_a_connection_leads_back_to_the_page_that_wanted_it(place: Place) -> None:
    person = await place.person("ida")
    assert (await person.connected(place.tracker, rd="/app/board?id=1"))["location"] == f"{ORIGIN}/app/board?id=1"


@pytest.mark.parametrize("dest", ["iframe", "frame", "object", "embed"])
async def test_clickjacking_the_consent_is_shown_in_no_frame(place: Place, dest: str) -> None:
    person = await place.person("jana")
    for path in (f"{BASE}/tracker/connect", BASE):
        framed = await person.get(path, headers={**HTML, "Sec-Fetch-Dest": dest})
        assert (framed.status, framed.json()["type"]) == (403, "urn:latchgate:problem:origin-denied")
    shown = await person.get(f"{BASE}/tracker/connect", headers=HTML)
    assert ("frame-ancestors 'none'" in shown["content-security-policy"], shown["x-frame-options"]) == (True, "deny")


async def test_a_code_leaks_by_no_referer_and_no_cache(place: Place) -> None:
    person = await place.person("karl")
    back = place.tracker.authorised(await person.begun())
    answers = [await person.get(back), await person.get(back), await person.get(f"{BASE}/tracker/connect", headers=HTML)]
    assert {answer["referrer-policy"] for answer in answers} == {"no-referrer"}
    assert all("no-store" in answer["cache-control"] for answer in answers)
    code = parse_qs(urlsplit(back).query)["code"][0]
    assert code not in "".join(str(answer.headers) + answer.body.decode() for answer in answers)
    assert code not in str(await place.gateway.events())


@pytest.mark.parametrize("path", ["connect", "disconnect", "token"])
@pytest.mark.parametrize(
    "over",
    [{"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"}, {"Origin": None, "Sec-Fetch-Site": None}, {"csrf": "x" * 64}],
    ids=["another site", "nobody says", "another token"],
)
async def test_csrf_no_other_page_begins_keeps_or_ends_a_connection(place: Place, path: str, over: dict[str, str | None]) -> None:
    victim = await place.person("lena")
    assert (await victim.connected(place.tracker)).status == 303
    asked = len(place.tracker.seen)
    token = over.get("csrf") or (await victim.whoami())["csrf_token"]
    fields = {name: value for name, value in (FORM | over).items() if value is not None and name != "csrf"}
    body = urlencode({"csrf_token": token, "token": "canary-planted"}).encode()
    forged = await victim.get(f"{BASE}/tracker/{path}", method="POST", headers=fields, body=body)
    assert (forged.status, forged.json()["type"]) == (403, "urn:latchgate:problem:origin-denied")
    assert len(place.tracker.seen) == asked
    assert (await victim.connections())["tracker"]["state"] == "connected"


async def test_xss_by_the_name_of_an_account_is_shown_as_text(place: Place) -> None:
    person = await place.person("mona")
    place.tracker.account = {
        "id": '"><img src=x onerror=alert(1)>',
        "login": "<script>alert(1)</script>\u202eevil\r\nx" + "y" * 999,
    }
    try:
        assert (await person.connected(place.tracker)).status == 303
    finally:
        place.tracker.account = {"id": 41, "login": "octo-alice"}
    shown = (await person.get(BASE, headers=HTML)).body.decode()
    assert not [mark for mark in ("<script>", "<img", "\u202e") if mark in shown]
    assert "&lt;script&gt;" in shown
    assert len((await person.connections())["tracker"]["name"]) <= 128


async def test_xss_by_the_error_of_a_provider_is_told_bounded_and_without_markup(place: Place) -> None:
    person = await place.person("nina")
    text = "<script>alert(1)</script>" + "x" * 999
    back = place.tracker.authorised(await person.begun(), error="access_denied<b>", error_description=text, code=None)
    reply = await refused(person, back, 403, "upstream-credential-missing")
    assert (reply["content-type"], reply["x-content-type-options"]) == ("application/problem+json", "nosniff")
    assert (reply.json()["provider_error"], b"<" in reply.body) == ("access_deniedb", False)
    assert len(reply.json()["provider_error_description"]) <= 200


async def test_scope_downgrade_what_was_granted_counts_and_not_what_was_asked_for(place: Place) -> None:
    person = await place.person("olaf")
    assert (await person.connected(place.tracker, scope="read write")).status == 303  # it grants `read` alone
    denied = await person.get("/write/x")
    assert (denied.status, denied.json()["type"]) == (403, "urn:latchgate:problem:insufficient-scope")
    assert denied.json()["missing_scopes"] == ["write"]
    url = denied.json()["connect_url"]
    assert url == f"{ORIGIN}{BASE}/tracker/connect?scope=read+write"
    place.tracker.grants = None
    assert (await person.connected(place.tracker, scope="read write")).status == 303
    assert (await person.get("/write/x")).status == 403, "nothing said is nothing known"
    place.tracker.grants = "read write"
    try:
        back = await person.connected(place.tracker, **{k: v[0] for k, v in parse_qs(urlsplit(url).query).items()})
    finally:
        place.tracker.grants = "read"
    assert back.status == 303
    assert (await person.get("/write/x")).status == 200


@pytest.mark.parametrize("scope", ["admin", "read admin", "read\tadmin", "<b>"])
async def test_a_link_asks_for_nothing_that_nothing_here_needs(place: Place, scope: str) -> None:
    person = await place.person("pia")
    reply = await person.get(f"{BASE}/tracker/connect?scope={quote(scope)}", headers=HTML)
    assert (reply.status, reply.json()["type"]) == (400, "urn:latchgate:problem:query-invalid")
    assert (await person.form(f"{BASE}/tracker/connect", scope=scope)).status == 400


async def test_a_connection_of_another_account_takes_nobodys_place(place: Place) -> None:
    person = await place.person("quin")
    assert (await person.connected(place.tracker)).status == 303
    place.tracker.account = {"id": 66, "login": "mallory"}
    try:
        reply = await refused(person, place.tracker.authorised(await person.begun()), 403, "upstream-credential-missing")
        assert reply.json()["action"] == "disconnect"
        assert (await person.connections())["tracker"]["account"] == "41"
        assert (await person.form(f"{BASE}/tracker/disconnect")).status == 303
        assert (await person.connected(place.tracker)).status == 303
        assert (await person.connections())["tracker"]["account"] == "66"
    finally:
        place.tracker.account = {"id": 41, "login": "octo-alice"}


async def test_a_personal_token_of_somebody_else_takes_nobodys_place_and_one_that_is_none_is_refused(place: Place) -> None:
    person = await place.person("rosa")
    place.tracker.personal = {"canary-pat-own": {"id": 7, "login": "rosa"}, "canary-pat-other": {"id": 8, "login": "somebody"}}
    kept = await person.form(f"{BASE}/tracker/token", token=" canary-pat-own\n")
    assert (kept.status, kept["location"]) == (303, f"{ORIGIN}{BASE}")
    assert (await person.get("/app/x")).status == 200
    assert sent(place)[-1] == "Bearer canary-pat-own"
    other = await person.form(f"{BASE}/tracker/token", token="canary-pat-other")
    assert (other.status, other.json()["action"]) == (403, "disconnect")
    wrong = await person.form(f"{BASE}/tracker/token", token="canary-pat-guessed")
    assert (wrong.status, wrong.json()["type"]) == (401, "urn:latchgate:problem:credential-invalid")
    for odd in ("", "two words", "x" * 20_000, "cr\nlf"):
        assert (await person.form(f"{BASE}/tracker/token", token=odd)).status == 400
    assert (await person.connections())["tracker"]["name"] == "rosa"
    revoked = len(place.tracker.posted("/revoke"))
    assert (await person.form(f"{BASE}/tracker/disconnect")).status == 303
    assert len(place.tracker.posted("/revoke")) == revoked, "what its owner made is his to end"
    [gone] = await told(place, "grant.disconnected", "rosa")
    assert gone["revoked"] == "not-offered"
    assert "canary" not in str(await place.gateway.events())


async def test_a_provider_that_fails_to_revoke_keeps_nobody_connected(place: Place) -> None:
    person = await place.person("sven")
    assert (await person.connected(place.tracker)).status == 303
    place.tracker.revoking = 503
    try:
        assert (await person.form(f"{BASE}/tracker/disconnect")).status == 303
    finally:
        place.tracker.revoking = 200
    assert (await person.connections())["tracker"]["state"] == "none"
    [gone] = await told(place, "grant.disconnected", "sven")
    assert gone["revoked"] == "no"
    assert (await person.form(f"{BASE}/tracker/disconnect")).status == 303, "nothing is there any more"


async def test_a_program_is_told_where_its_person_can_connect_and_uses_what_is_connected(place: Place) -> None:
    token = place.gateway.keys.token("tina", groups=["staff"])
    missing = await place.gateway.get("/app/x", token=token)
    assert missing.status == 403
    assert (missing.json()["action"], missing.json()["connect_url"]) == ("connect", f"{ORIGIN}{BASE}/tracker/connect")
    assert (await (await place.person("tina")).connected(place.tracker)).status == 303
    assert (await place.gateway.get("/app/x", token=token)).status == 200


async def test_nobody_who_is_not_logged_in_sees_or_begins_anything(place: Place) -> None:
    stranger = Person(place.gateway)
    led = await stranger.get(f"{BASE}/tracker/connect?scope=read", headers=HTML)
    assert (led.status, led["location"].startswith(f"{ORIGIN}/.gateway/login?provider=corp&rd=")) == (303, True)
    for path, method in ((BASE, "GET"), (f"{BASE}/tracker/connect", "POST"), (f"{BASE}/tracker/disconnect", "POST")):
        reply = await stranger.get(path, method=method, headers={"Accept": "application/json", "Origin": ORIGIN})
        assert (reply.status, reply.json()["type"]) == (401, "urn:latchgate:problem:credential-missing")
    assert (await place.gateway.get(BASE, host="evil.test")).status == 421


async def test_the_consent_names_what_the_gateway_will_do_and_programs_get_the_same(place: Place) -> None:
    person = await place.person("ulla")
    page = (await person.get(f"{BASE}/tracker/connect?scope=read+write", headers=HTML)).body.decode()
    for part in (
        "corp:ulla",
        "Tracker",
        "<code>read</code>",
        "<code>write</code>",
        "/write/**",
        "app.write",
        "127.0.0.1:",
        "tokens",
    ):
        assert part in page
    assert "<script" not in page
    told = (await person.get(f"{BASE}/tracker/connect")).json()
    assert (told["scopes"], [route["route"] for route in told["routes"]]) == (["read"], ["app", "app.write"])
    begun = await person.get(
        f"{BASE}/tracker/connect",
        method="POST",
        headers={**FORM, "Accept": "application/json", "X-CSRF-Token": (await person.whoami())["csrf_token"]},
    )
    assert begun.json()["authorize_url"].startswith(f"{place.tracker.url}/auth?")
