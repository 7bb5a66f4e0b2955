"""The gateway as an authorization server, as it is attacked: redirects, codes, mix-up, consent, refresh tokens (RFC 9700, attacks 92 and 94)."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
import pytest_asyncio

from gateway.operations import Operating
from tests.authorizing import (
    CALLBACK,
    FORM,
    NOTES,
    OTHERS,
    READER,
    SAME,
    SECRET,
    Person,
    challenge,
    hidden,
    led,
    posted,
    redeemed,
    refreshed,
    server_house,
    told,
    used,
)
from tests.holding import Holder
from tests.house import House, Reply
from tests.login import HOST, ORIGIN, PAGE, SESSION, ScriptedProvider

pytestmark = pytest.mark.asyncio(loop_scope="module")
Shared = tuple[House, list[ScriptedProvider]]
OTHER = "o" * 60


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    async with server_house(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def shared(served: Shared) -> Shared:
    for provider in served[1]:
        provider.claims, provider.signs = {}, None
    return served


async def logged_in(shared: Shared) -> Person:
    gateway, [corp, _] = shared
    person = Person(gateway)
    await person.login(corp)
    return person


async def tokens(shared: Shared, person: Person | None = None, **asked: str) -> dict[str, str]:
    """What a client has after all went well."""
    person = person or await logged_in(shared)
    answer = await redeemed(shared[0], await person.allows(**asked))
    assert answer.status == 200, answer.body
    found: dict[str, str] = answer.json()
    return found


def refused(answer: Reply, error: str = "invalid_grant", status: int = 400) -> None:
    assert (answer.status, answer.json()["error"]) == (status, error)
    assert "no-store" in answer["cache-control"]


# How it is meant to go


async def test_a_person_who_logs_in_and_consents_lets_a_client_act_within_what_he_allowed(shared: Shared) -> None:
    gateway, [corp, _] = shared
    person = Person(gateway)
    begun = await person.sent(client_id="app", scope="notes:read", headers={**PAGE, "Sec-Fetch-Site": "cross-site"})
    assert begun.status == 303
    login = await person.get(begun["location"] + "&provider=corp", headers=PAGE)
    back = await person.get(corp.authorised(login["location"]), headers=PAGE)
    page = await person.get(back["location"], headers=PAGE)
    text = page.body.decode()
    assert "The &lt;App&gt;" in text
    assert all(word in text for word in ("alice", "corp", "notes:read", NOTES, "app.test"))
    answer = told(led(await person.answers(page)))
    assert (set(answer), answer["iss"], answer["state"]) == ({"code", "iss", "state"}, ORIGIN, "st&te")
    given = await redeemed(gateway, answer["code"])
    assert given.status == 200
    found = given.json()
    assert (found["token_type"], found["scope"]) == ("Bearer", "notes:read")
    claims = jwt.decode(found["access_token"], options={"verify_signature": False})
    assert (claims["iss"], claims["aud"], claims["client_id"], claims["sub"]) == (ORIGIN, NOTES, "app", "corp:alice")
    assert await used(gateway, found["access_token"]) == 200
    assert await used(gateway, found["access_token"], "/others/1") == 401
    event = (await gateway.requests())[-2]
    assert (event["issuer"], event["subject"]) == ("corp", "alice")
    again = await refreshed(gateway, found["refresh_token"])
    assert again.status == 200
    assert await used(gateway, again.json()["access_token"]) == 200
    everything = str(await gateway.events())
    for secret in (answer["code"], found["refresh_token"], found["access_token"], again.json()["refresh_token"]):
        assert secret not in everything
    kinds = [event["event"] for event in await gateway.events()]
    assert {"consent.given"} <= set(kinds)


async def test_the_metadata_is_true(shared: Shared) -> None:
    gateway, _ = shared
    found = await gateway.get("/.well-known/oauth-authorization-server", host="gw.test")
    document = found.json()
    assert (document["issuer"], document["response_types_supported"]) == (ORIGIN, ["code"])
    assert (document["code_challenge_methods_supported"], document["authorization_response_iss_parameter_supported"]) == (
        ["S256"],
        True,
    )
    assert document["token_endpoint_auth_methods_supported"] == ["client_secret_basic", "none"]
    assert document["introspection_endpoint_auth_methods_supported"] == ["client_secret_basic"]
    assert document["scopes_supported"] == ["notes:read", "notes:write", "offline_access"]
    for name in ("authorization_endpoint", "token_endpoint", "introspection_endpoint", "revocation_endpoint"):
        path = document[name].removeprefix(ORIGIN)
        reply = await gateway.get(path, method="GET" if "authorize" in path else "POST", host="gw.test")
        assert reply.status in {400, 401}, name
    keys = await gateway.get(document["jwks_uri"].removeprefix(ORIGIN), host="gw.test")
    assert keys.json()["keys"]
    resource = await gateway.get("/.well-known/oauth-protected-resource/notes", host="gw.test")
    assert resource.json()["authorization_servers"] == [ORIGIN]


# Before anybody is asked


@pytest.mark.parametrize(
    "over",
    [
        {"client_id": "nobody"}, {"client_id": None}, {"client_id": "reader"}, {"redirect_uri": None},
        {"redirect_uri": "https://evil.test/cb"}, {"redirect_uri": "https://server.test/cb"}, {"redirect_uri": f"{CALLBACK}/../evil"},
        {"redirect_uri": [CALLBACK, "https://evil.test/cb"]}, {"client_id": ["app", "server"]},
        {"client_id": "nobody", "response_type": "token", "prompt": "none"}, {"state": "a\nb"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_cve_2026_41479_open_redirect_before_the_client_is_known(shared: Shared, over: dict[str, Any], method: str) -> None:
    for person in (Person(shared[0]), await logged_in(shared)):
        reply = await person.sent(method=method, **over)
        assert (reply.status, reply.get("location")) == (400, None)
        assert b"evil" not in reply.body


@pytest.mark.parametrize(
    ("over", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"), ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"), ({"scope": "admin"}, "invalid_scope"),
        ({"resource": "https://evil.test/"}, "invalid_target"), ({"request": "x"}, "request_not_supported"),
        ({"request_uri": "https://evil.test/r"}, "request_uri_not_supported"), ({"scope": ["notes:read", "notes:write"]}, "invalid_request"),
        ({"login_hint": ["a", "b"]}, "invalid_request"), ({"acr_values": "a" * 120 + " " + " ".join("b" * 100 + str(n) for n in range(12))}, "invalid_request"),
    ],
)  # fmt: skip
async def test_what_is_wrong_goes_to_the_registered_redirect_uri_only(shared: Shared, over: dict[str, Any], error: str) -> None:
    reply = await Person(shared[0]).sent(**over)
    assert reply.status == 303
    assert reply["location"].startswith(CALLBACK + "?")
    answer = told(reply["location"])
    assert (answer["error"], answer["iss"], answer["state"]) == (error, ORIGIN, "st&te")


async def test_prompt_none_shows_nobody_anything(shared: Shared) -> None:
    reply = await Person(shared[0]).sent(prompt="none")
    assert told(reply["location"])["error"] == "login_required"
    reply = await (await logged_in(shared)).sent(prompt="none")
    assert told(reply["location"])["error"] == "consent_required"


async def test_mix_up_every_answer_names_this_server(shared: Shared) -> None:
    """RFC 9207, RFC 9700 4.4."""
    person = await logged_in(shared)
    page = await person.sent()
    for location in (led(await person.answers(page, "deny")), (await person.sent(scope="admin"))["location"]):
        assert told(location)["iss"] == ORIGIN


# The login behind it


async def test_a_stronger_or_newer_login_that_is_asked_for_is_had(shared: Shared) -> None:
    [corp, _] = shared[1]
    wishes: list[dict[str, Any]] = [{"prompt": "login"}, {"max_age": "0"}, {"acr_values": "gold"}]
    for over in wishes:
        corp.claims = {}
        person = await logged_in(shared)
        begun = await person.sent(**over)
        assert begun.status == 303, "the login that is there is not enough"
        assert (await person.sent(**over)).status == 303
        chosen = await person.get(begun["location"] + "&provider=corp", headers=PAGE)
        assert ("max_age=0" in chosen["location"]) is ("acr_values" not in over)
        corp.claims = {"acr": "gold"} if "acr_values" in over else {}
        corp.since = int(time.time())
        back = await person.get(corp.authorised(chosen["location"]), headers=PAGE)
        assert (await person.get(back["location"], headers=PAGE)).status == 200
        forged = back["location"].replace("login_since=", "login_since=A")
        assert (await person.get(forged, headers=PAGE)).status == (200 if "acr_values" in over else 303)


async def test_a_login_that_was_asked_for_is_good_for_that_request_only(shared: Shared) -> None:
    gateway, [corp, _] = shared
    person = Person(gateway)
    begun = await person.sent(prompt="login")
    login = await person.get(begun["location"] + "&provider=corp", headers=PAGE)
    back = (await person.get(corp.authorised(login["location"]), headers=PAGE))["location"]
    assert (await person.get(back, headers=PAGE)).status == 200
    moved = back.replace(challenge(), challenge(OTHER))
    assert (await person.get(moved, headers=PAGE)).status == 303


async def test_a_weaker_login_does_not_pass_for_the_one_that_was_asked_for(shared: Shared) -> None:
    """The way back is known, and walked after a login that asked the provider for nothing."""
    [corp, _] = shared[1]
    for over in ({"prompt": "login"}, {"acr_values": "gold"}):
        asked: dict[str, Any] = over
        person, corp.since = await logged_in(shared), int(time.time()) - 3600
        begun = (await person.sent(**asked))["location"]
        back = parse_qs(urlsplit(begun).query)["rd"][0]
        await person.login(corp)
        assert (await person.get(back, headers=PAGE)).status == 303
    corp.since = int(time.time())


async def test_a_client_that_posts_from_its_own_site_ends_no_session(shared: Shared) -> None:
    """Browsers keep a lax cookie back there, and bring it along where the answer leads them."""
    person = await logged_in(shared)
    sent = await person.sent(method="POST", headers={"Sec-Fetch-Site": "cross-site", "Cookie": "x=y"})
    assert sent.status == 303
    assert urlsplit(sent["location"]).path == "/.gateway/authorize"
    assert b"<form" in (await person.get(sent["location"], headers=PAGE)).body


async def test_a_strict_cookie_is_brought_along_from_a_page_of_our_own(tmp_path: Path) -> None:
    async with server_house(tmp_path, session={"same_site": "strict"}) as (gateway, [corp, _]):
        person = Person(gateway)
        await person.login(corp)
        kept, person.jar = person.jar, {}
        page = await person.sent(headers={**PAGE, "Sec-Fetch-Site": "cross-site"})
        person.jar = kept
        assert b"<form" in (await person.get(led(page), headers={**PAGE, "Sec-Fetch-Site": "same-origin"})).body


# Consent


async def test_confused_deputy_consent_of_one_browser_is_none_in_another(shared: Shared) -> None:
    """CVE-2026-27124, GHSA-c2jp-c369-7pvx."""
    attacker, victim = await logged_in(shared), await logged_in(shared)
    shown: dict[str, Any] = hidden(await attacker.sent())
    page = await victim.sent()
    stolen: list[dict[str, Any]] = [{"request": shown["request"]}, {"csrf_token": shown["csrf_token"]}, shown]
    for fields in stolen:
        reply = await victim.answers(page, **fields)
        assert (reply.status, reply.json()["type"]) == (403, "urn:latchgate:problem:origin-denied")
    assert (await victim.answers(page)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.test"}, {"Origin": "null", "Sec-Fetch-Site": "cross-site"}, {"Origin": "https://x.gw.test"}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Dest": "empty"},
    ],
)  # fmt: skip
async def test_consent_csrf_an_answer_of_another_site_is_refused(shared: Shared, headers: dict[str, str]) -> None:
    person = await logged_in(shared)
    page = await person.sent()
    reply = await person.answers(page, headers=headers)
    assert (reply.status, reply.get("location")) == (403, None)


async def test_consent_csrf_an_answer_without_its_token_or_page_is_refused(shared: Shared) -> None:
    person = await logged_in(shared)
    page = await person.sent()
    wrong: list[dict[str, Any]] = [
        {"csrf_token": ""},
        {"csrf_token": "0" * 64},
        {"request": ""},
        {"request": "A" * 80},
        {"request": hidden(page)["request"][:-2]},
    ]
    for fields in wrong:
        assert (await person.answers(page, **fields)).status == 403, fields
    bare = {**SAME, **FORM}
    for name in ("Origin", "Sec-Fetch-Site"):
        bare.pop(name)
    body = urlencode({**hidden(page), "answer": "allow"}).encode()
    assert (await person.get("/.gateway/consent", method="POST", headers=bare, body=body)).status == 403
    assert (await Person(shared[0]).answers(page)).status == 403
    assert (await person.get("/.gateway/consent")).status == 405


async def test_consent_is_given_once_for_each_page(shared: Shared) -> None:
    person = await logged_in(shared)
    page = await person.sent()
    assert (await person.answers(page)).status == 200
    assert (await person.answers(page)).status == 403
    assert (await person.sent()).status == 200
    assert b"<form" in (await person.sent()).body, "he is asked each time"


async def test_who_refuses_gives_nothing(shared: Shared) -> None:
    person = await logged_in(shared)
    for answer in ("deny", "", "Allow", "allow "):
        assert told(led(await person.answers(await person.sent(), answer))).keys() == {"error", "error_description", "iss", "state"}


async def test_clickjacking_the_question_is_shown_in_no_frame(shared: Shared) -> None:
    person = await logged_in(shared)
    page = await person.sent()
    assert "frame-ancestors 'none'" in page["content-security-policy"]
    assert page["x-frame-options"].lower() == "deny"
    assert "no-store" in page["cache-control"]
    assert b"<script" not in page.body
    for dest in ("iframe", "frame", "embed", "object"):
        assert (await person.sent(headers={**PAGE, "Sec-Fetch-Dest": dest})).status == 403


async def test_a_session_of_another_host_or_a_tossed_cookie_is_no_login(shared: Shared) -> None:
    person = await logged_in(shared)
    mine = person.jar[SESSION]
    assert (await person.sent(headers={**PAGE, "Cookie": f"{SESSION}={mine}; {SESSION}={'A' * 43}"})).status == 400
    person.host = "evil.test"
    assert (await person.sent()).status == 421


# Codes


async def test_code_injection_a_code_of_another_browser_or_client_is_refused(shared: Shared) -> None:
    """RFC 9700 4.5: the attacker's client instance, or another client, brings the victim's code."""
    gateway, _ = shared
    person = await logged_in(shared)
    code = await person.allows()
    for over in (
        {"code_verifier": OTHER}, {"code_verifier": None}, {"code_verifier": challenge()}, {"redirect_uri": None},
        {"redirect_uri": "http://127.0.0.1/cb"}, {"client_id": "once", "redirect_uri": "https://once.test/cb"},
    ):  # fmt: skip
        answer = await redeemed(gateway, code, **over)
        assert answer.json()["error"] in {"invalid_grant", "invalid_request"}, over
        assert answer.status == 400
    refused(await redeemed(gateway, code, headers={"Authorization": SECRET}, client_id=None))
    assert (await redeemed(gateway, code)).status == 200


async def test_a_replayed_code_ends_what_was_issued_from_it(shared: Shared) -> None:
    gateway, _ = shared
    code = await (await logged_in(shared)).allows()
    found = (await redeemed(gateway, code)).json()
    assert await used(gateway, found["access_token"]) == 200
    refused(await redeemed(gateway, code))
    assert await used(gateway, found["access_token"]) == 401
    refused(await refreshed(gateway, found["refresh_token"]))
    assert "auth.token.reused" in {event["event"] for event in await gateway.events()}


async def test_pkce_downgrade_there_is_no_code_without_a_challenge(shared: Shared) -> None:
    person = await logged_in(shared)
    without: list[dict[str, Any]] = [{"code_challenge": None, "code_challenge_method": None}, {"code_challenge_method": None}]
    for over in without:
        for client, to in (("app", CALLBACK), ("server", "https://server.test/cb")):
            reply = await person.sent(client_id=client, redirect_uri=to, **over)
            assert told(reply["location"])["error"] == "invalid_request"


async def test_a_client_may_not_use_grants_or_rights_it_was_not_given(shared: Shared) -> None:
    gateway, _ = shared
    person = await logged_in(shared)
    page = await person.sent(client_id="once", redirect_uri="https://once.test/cb", scope=None)
    assert b"all the rights that you have" in page.body
    code = told(led(await person.answers(page)))["code"]
    answer = await redeemed(gateway, code, client_id="once", redirect_uri="https://once.test/cb")
    assert "refresh_token" not in answer.json()
    refused(await refreshed(gateway, "lgr_" + "A" * 86, client_id="once"), "unauthorized_client")
    found = await tokens(shared, scope="notes:read")
    refused(await refreshed(gateway, found["refresh_token"], scope="notes:read notes:write"), "invalid_scope")
    refused(await refreshed(gateway, found["refresh_token"], resource=OTHERS), "invalid_target")
    assert (await refreshed(gateway, found["refresh_token"])).status == 200, "nothing was used up"


# Refresh tokens


async def test_a_rotated_refresh_token_used_again_ends_the_family(shared: Shared) -> None:
    gateway, _ = shared
    first = await tokens(shared)
    second = (await refreshed(gateway, first["refresh_token"])).json()
    third = (await refreshed(gateway, second["refresh_token"])).json()
    refused(await refreshed(gateway, first["refresh_token"]))
    refused(await refreshed(gateway, third["refresh_token"]))
    for each in (first, second, third):
        assert await used(gateway, each["access_token"]) == 401


async def test_a_lost_answer_may_be_asked_for_again_and_gives_the_same_successor(shared: Shared) -> None:
    gateway, _ = shared
    first = await tokens(shared)
    answers = await asyncio.gather(*(refreshed(gateway, first["refresh_token"]) for _ in range(6)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


async def test_a_stolen_refresh_token_is_of_no_use_to_another_client(shared: Shared) -> None:
    gateway, _ = shared
    found = await tokens(shared)
    refused(await refreshed(gateway, found["refresh_token"], headers={"Authorization": SECRET}, client_id=None))
    assert (await refreshed(gateway, found["refresh_token"])).status == 200


async def test_a_refresh_token_ends_with_the_login_but_for_one_that_was_allowed_to_outlive_it(shared: Shared) -> None:
    gateway, _ = shared
    person = await logged_in(shared)
    bound, offline = await tokens(shared, person), await tokens(shared, person, scope="notes:read offline_access")
    assert await used(gateway, bound["access_token"]) == 200
    assert (await person.write("/.gateway/logout")).status == 303
    assert await used(gateway, bound["access_token"]) == 401
    refused(await refreshed(gateway, bound["refresh_token"]))
    again = await refreshed(gateway, offline["refresh_token"])
    assert again.status == 200
    assert await used(gateway, again.json()["access_token"]) == 200


@pytest.mark.parametrize("scope", ["notes:read", "notes:read offline_access"])
async def test_a_code_is_not_redeemed_after_the_logout(shared: Shared, scope: str) -> None:
    person = await logged_in(shared)
    code = await person.allows(scope=scope)
    assert (await person.write("/.gateway/logout")).status == 303
    refused(await redeemed(shared[0], code))


@pytest.mark.parametrize("who", ["operator", "provider"])
async def test_what_outlived_its_login_is_ended_by_operators_and_by_the_provider(shared: Shared, who: str) -> None:
    gateway, [corp, _] = shared
    person = await logged_in(shared)
    found = await tokens(shared, person, scope="notes:read offline_access")
    assert (await person.write("/.gateway/logout")).status == 303
    assert await used(gateway, found["access_token"]) == 200
    if who == "operator":
        assert await Operating(gateway.process).end_sessions("corp", "alice", "ada") >= 1
    else:
        assert (await posted(gateway, "backchannel/corp", logout_token=corp.logout_token(sid=None))).status == 200
    assert await used(gateway, found["access_token"]) == 401
    refused(await refreshed(gateway, found["refresh_token"]))


async def test_what_a_person_allowed_he_alone_takes_back_though_he_logged_in_anew(shared: Shared) -> None:
    gateway, [_, partner] = shared
    assert (await Person(gateway).get("/.gateway/allowed", headers=PAGE)).status == 303
    found = await tokens(shared, scope="notes:read offline_access")
    owner, other = await logged_in(shared), Person(gateway)
    await other.login(partner)
    page = await owner.get("/.gateway/allowed", headers=PAGE)
    assert "frame-ancestors 'none'" in page["content-security-policy"]
    assert b"The &lt;App&gt;" in page.body
    assert b"The" not in (await other.get("/.gateway/allowed", headers=PAGE)).body
    names = re.findall(r'name="allowed" value="([0-9a-f]{32})"', page.body.decode())
    csrf = hidden(page)["csrf_token"]

    async def taken_back(person: Person, **fields: str) -> int:
        statuses = set()
        for name in names:
            body = urlencode({"allowed": name, **fields}).encode()
            answer = await person.get("/.gateway/allowed", method="POST", headers={**SAME, **FORM}, body=body)
            statuses.add(answer.status)
        [status] = statuses
        return status

    assert await taken_back(owner) == 403
    assert await taken_back(other, csrf_token=csrf) == 403
    theirs = (await other.get("/.gateway/session")).json()["csrf_token"]
    assert await taken_back(other, csrf_token=theirs) == 303
    assert await used(gateway, found["access_token"]) == 200
    assert await taken_back(owner, csrf_token=csrf) == 303
    assert await used(gateway, found["access_token"]) == 401
    refused(await refreshed(gateway, found["refresh_token"]))
    assert b"Nothing" in (await owner.get("/.gateway/allowed", headers=PAGE)).body
    assert {"consent"} <= {event.get("kind") for event in await gateway.events()}


async def test_tokens_bound_to_a_key_are_of_no_use_without_it(shared: Shared) -> None:
    """RFC 9449 5 and 10: of a public client, the code (`dpop_jkt`), the access token and the refresh token."""
    gateway, _ = shared
    person, owner, thief = await logged_in(shared), Holder(now=time.time()), Holder(now=time.time())
    endpoint: dict[str, Any] = {"htm": "POST", "htu": f"http://{HOST}/.gateway/token", "ath": None}

    def proved(holder: Holder) -> dict[str, str]:
        return {"DPoP": holder.proof("", **endpoint).decode()}

    code = await person.allows(dpop_jkt=owner.cnf["jkt"])
    others: list[dict[str, str]] = [{}, proved(thief)]
    for headers in others:
        refused(await redeemed(gateway, code, headers=headers))
    given = await redeemed(gateway, code, headers=proved(owner))
    assert given.json()["token_type"] == "DPoP", given.body
    found = given.json()
    assert await used(gateway, found["access_token"]) == 401
    others = [{}, proved(thief)]
    for headers in others:
        refused(await refreshed(gateway, found["refresh_token"], headers=headers))
    again = await refreshed(gateway, found["refresh_token"], headers=proved(owner))
    assert (again.status, again.json()["token_type"]) == (200, "DPoP")


# Told and taken back


async def test_introspection_tells_a_client_of_tokens_that_are_its_or_for_it(shared: Shared) -> None:
    gateway, _ = shared
    found = await tokens(shared, resource=OTHERS)
    about: dict[str, Any] = {"token": found["access_token"]}
    mine = (await posted(gateway, "introspect", headers={"Authorization": READER}, **about)).json()
    assert (mine["active"], mine["client_id"], mine["aud"], mine["sub"]) == (True, "app", OTHERS, "corp:alice")
    assert "latchgate" not in mine
    for headers, token in (
        ({"Authorization": SECRET}, found["access_token"]), ({"Authorization": READER}, found["refresh_token"]),
        ({"Authorization": READER}, "nothing"), ({"Authorization": READER}, found["access_token"][:-2]),
    ):  # fmt: skip
        reply = await posted(gateway, "introspect", headers=headers, token=token)
        assert (reply.status, reply.json()) == (200, {"active": False})
    assert (await posted(gateway, "introspect", client_id="app", **about)).status == 400
    assert (await posted(gateway, "introspect", **about)).status == 401
    wrong = {"Authorization": READER[:-6] + "AAAAAA"}
    assert (await posted(gateway, "introspect", headers=wrong, **about)).status == 401


async def test_a_revoked_token_counts_no_more_and_a_refresh_token_takes_its_family_with_it(shared: Shared) -> None:
    gateway, _ = shared
    found = await tokens(shared)
    refused(await posted(gateway, "revoke", headers={"Authorization": SECRET}, token=found["access_token"]))
    refused(await posted(gateway, "revoke", headers={"Authorization": SECRET}, token=found["refresh_token"]))
    assert await used(gateway, found["access_token"]) == 200
    assert (await posted(gateway, "revoke", client_id="app", token=found["access_token"])).status == 200
    assert await used(gateway, found["access_token"]) == 401
    again = (await refreshed(gateway, found["refresh_token"])).json()
    assert await used(gateway, again["access_token"]) == 200
    assert (await posted(gateway, "revoke", client_id="app", token=again["refresh_token"])).status == 200
    assert await used(gateway, again["access_token"]) == 401
    refused(await refreshed(gateway, again["refresh_token"]))
    for token in ("nothing", again["refresh_token"], found["access_token"], "lgr_" + "A" * 86):
        assert (await posted(gateway, "revoke", client_id="app", token=token)).status == 200
    assert [event["kind"] for event in await gateway.events() if event["event"] == "token.revoked"][-2:] == [
        "access_token",
        "refresh_token",
    ]


async def test_guesses_at_codes_and_refresh_tokens_block_the_address(tmp_path: Path) -> None:
    rules = [{"type": "brute_force", "threshold": 3, "window": "5m", "action": "block_address", "for": "15m"}]
    async with server_house(tmp_path, detection={"rules": rules}) as (gateway, _):
        refused(await redeemed(gateway, "A" * 43))
        refused(await refreshed(gateway, "lgr_" + "A" * 86))
        refused(await redeemed(gateway, "B" * 43))
        assert (await redeemed(gateway, "C" * 43)).status == 403
        [listed] = [each for each in await gateway.events() if each["event"] == "address.blocked"]
        assert listed["count"] == 3
