"""Whoever has not the security key tries to pass for who has: each test is named after what is tried."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from gateway.operators import security_keys
from tests.authenticator import PRESENT, VERIFIED, Authenticator
from tests.fakes import SteppedClock
from tests.operating import ADA, BOB, ORIGIN, Browser, Replica, copied, template

HOST = "ops.example.com"
WRONG = "a password of nobody at all"
PLACE = "/operators/webauthn"
SHORT = 1024


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(template(tmp_path_factory.mktemp("operators")))


@pytest.fixture
def file(empty: Path, tmp_path: Path) -> Path:
    return copied(empty, tmp_path)


@pytest.fixture
async def replica(file: Path) -> Replica:
    made = Replica(file)
    await made.add("ada", ADA)
    return made


def key(**other: Any) -> Authenticator:
    return Authenticator(**{"origin": ORIGIN, "host": HOST} | other)


async def asked(browser: Browser, name: str = "ada", password: str = ADA) -> dict[str, Any]:
    """What the browser is to ask a key for."""
    browser.replica.clock.step(1)
    answer = await browser.login(name, password)
    assert answer.status_code == 401
    options: dict[str, Any] = answer.json()["webauthn"]
    return options


async def entered(browser: Browser, held: Authenticator, name: str = "ada", password: str = ADA) -> httpx.Response:
    return await browser.login(name, password, held.get(await asked(browser, name, password)))


async def offered(browser: Browser, code: str = "", password: str = ADA) -> dict[str, Any]:
    answer = await browser.send("POST", PLACE, {"password": password, "code": code})
    assert answer.status_code == 200, answer.text
    options: dict[str, Any] = answer.json()
    return options


async def confirm(browser: Browser, credential: str, name: str = "blue") -> httpx.Response:
    return await browser.send("POST", f"{PLACE}/confirm", {"name": name, "credential": credential})


async def enrolled(replica: Replica, name: str = "ada", password: str = ADA, **other: Any) -> tuple[Authenticator, list[str]]:
    """A key of an account that had no second factor, and its recovery codes."""
    browser, held = Browser(replica), key(**other)
    await browser.login(name, password)
    answer = await confirm(browser, held.create(await offered(browser, password=password)))
    assert answer.status_code == 200, answer.text
    return held, answer.json()["recovery_codes"]


async def again(browser: Browser) -> dict[str, Any]:
    """What a key is to be asked for in a session."""
    browser.replica.clock.step(1)
    answer = await browser.send("POST", PLACE, {"password": ADA})
    assert answer.status_code == 401
    options: dict[str, Any] = answer.json()["webauthn"]
    return options


@pytest.mark.parametrize(
    "private",
    [None, ed25519.Ed25519PrivateKey.generate, lambda: rsa.generate_private_key(65537, 2048)],
    ids=["ES256", "EdDSA", "RS256"],
)
async def test_a_password_alone_where_there_is_a_key(replica: Replica, private: Callable[[], Any] | None) -> None:
    held, codes = await enrolled(replica, **({} if private is None else {"private": private()}))
    assert len(set(codes)) == 10
    browser = Browser(replica)
    answer = await browser.login("ada", ADA)
    assert (answer.status_code, answer.json()["second_factor"]) == (401, ["webauthn", "recovery"])
    options = answer.json()["webauthn"]["publicKey"]
    assert (options["rpId"], options["userVerification"], len(options["allowCredentials"])) == (HOST, "required", 1)
    assert "webauthn" not in (await Browser(replica).login("ada", WRONG)).json(), "who has the password only"
    assert (await browser.login("ada", ADA, "")).status_code == 401
    answer = await entered(browser, held)
    assert (answer.status_code, answer.json()["factor"]) == (200, "webauthn")
    assert (await browser.send("GET", PLACE)).json()["keys"][0]["name"] == "blue"
    assert (await Browser(replica).login("ada", ADA, codes[0])).status_code == 200, "a recovery code stands in"
    assert (await Browser(replica).login("ada", ADA, codes[0])).status_code == 401


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"origin": "https://ops.example.com.evil.example"}, "origin"),
        ({"origin": "https://sub.ops.example.com"}, "origin"),
        ({"origin": "http://ops.example.com"}, "origin"),
        ({"origin": "https://ops.example.com:8443"}, "origin"),
        ({"host": "evil.example"}, "RP ID"),
        ({"host": "example.com"}, "RP ID"),
        ({"flags": PRESENT}, "verif"),
        ({"flags": VERIFIED}, "Present"),
        ({"flags": PRESENT | VERIFIED | 0x10}, "backed up"),
        ({"says": {"type": "webauthn.create"}}, "type"),
        ({"says": {"crossOrigin": True}}, "frame"),
        ({"says": {"challenge": "A" * 80}}, "challenge"),
        ({"id": b"of somebody else"}, "credential"),
        ({"private": ed25519.Ed25519PrivateKey.generate()}, "signature"),
        ({"handle": b"another account"}, "handle"),
    ],
    ids=lambda each: "-".join(f"{name}" for name in each) if isinstance(each, dict) else each,
)
async def test_answering_with_what_a_phishing_page_or_another_key_gives(replica: Replica, other: Any, why: str) -> None:
    held, _ = await enrolled(replica)
    before = len(replica.events("operator.login"))
    answer = await entered(Browser(replica), replace(held, **other))
    assert (answer.status_code, "second_factor" in answer.json()) == (401, False)
    assert why in replica.events("operator.login.failed")[-1]["detail"]
    assert len(replica.events("operator.login")) == before
    assert (await entered(Browser(replica), held)).status_code == 200


async def test_replaying_an_answer_on_a_second_replica(file: Path) -> None:
    clock = SteppedClock()
    one, other = Replica(file, clock=clock), Replica(file, clock=clock)
    await one.add("ada", ADA)
    held, _ = await enrolled(one, counts=False)  # as passkeys do: only the challenge tells
    earlier, options = await asked(Browser(one)), await asked(Browser(one))
    seen = held.get(options)
    assert (await Browser(other, "192.0.2.2").login("ada", ADA, seen)).status_code == 200, "asked there, answered here"
    for each in (one, other):
        assert (await Browser(each, "192.0.2.3").login("ada", ADA, seen)).status_code == 401
    assert (await Browser(one).login("ada", ADA, held.get(earlier))).status_code == 401, "one that was made before"
    fresh = held.get(await asked(Browser(one)))
    race = await asyncio.gather(
        *(Browser(each, f"192.0.2.{n}").login("ada", ADA, fresh) for n, each in enumerate((one, other) * 2))
    )
    assert sorted(answer.status_code for answer in race) == [200, 401, 401, 401]


async def test_answering_late_or_to_what_was_asked_of_another_account_or_for_something_else(replica: Replica) -> None:
    held, _ = await enrolled(replica)
    await replica.add("bob", BOB)
    his, _ = await enrolled(replica, "bob", BOB)
    options = await asked(Browser(replica))
    theirs = await asked(Browser(replica), "bob", BOB)
    assert (await Browser(replica).login("ada", ADA, held.get(theirs))).status_code == 401, "bob's challenge"
    assert (await Browser(replica).login("ada", ADA, his.get(options))).status_code == 401, "bob's key"
    browser = Browser(replica)
    await entered(browser, held)
    create = await offered(browser, held.get(await again(browser)))
    assert (await Browser(replica).login("ada", ADA, held.get(create))).status_code == 401, "for a registration"
    late = held.get(await asked(Browser(replica)))
    replica.clock.step(301)
    assert (await Browser(replica).login("ada", ADA, late)).status_code == 401
    assert "too old" in replica.events("operator.login.failed")[-1]["detail"]


async def test_a_copied_key_is_seen_by_its_counter(replica: Replica) -> None:
    held, _ = await enrolled(replica)
    copy = replace(held)
    for _ in range(2):
        assert (await entered(Browser(replica), held)).status_code == 200
    assert (await entered(Browser(replica), copy)).status_code == 401
    [told] = replica.events("operator.key.cloned")
    assert (told["operator"], told["detail"]) == ("ada", "blue")
    copy.count = held.count - 1
    assert (await entered(Browser(replica), copy)).status_code == 401, "the same count again"
    assert (await entered(Browser(replica), held)).status_code == 200


async def test_guessing_answers_with_the_right_password(replica: Replica) -> None:
    await enrolled(replica)
    guesser = Browser(replica, "198.51.100.3")
    options = await asked(guesser)
    statuses = [(await guesser.login("ada", ADA, key().get(options))).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [403]


@pytest.mark.parametrize(
    "said",
    [
        "{",
        "{}",
        '{"id": 1}',
        '{"rawId": "AA", "response": {}}',
        '{"a":' + "[" * 4000,
        '{"rawId": "AA", "response": 7}',
        '{"é": "\\ud800"}',
    ],
)
async def test_answers_that_are_none(replica: Replica, said: str) -> None:
    await enrolled(replica)
    assert (await Browser(replica).login("ada", ADA, said)).status_code == 401


# Adding and removing


async def test_adding_a_key_in_a_stolen_session(replica: Replica) -> None:
    browser = Browser(replica)
    await browser.login("ada", ADA)
    assert (await browser.send("POST", PLACE, {"password": WRONG})).status_code == 401
    options = await offered(browser)
    thief = Browser(replica, "198.51.100.9")
    await thief.login("ada", ADA)
    assert (await confirm(thief, key().create(options))).status_code == 401, "what was asked for in another session"
    held = key()
    assert (await confirm(browser, held.create(options))).status_code == 200
    assert (await confirm(browser, key().create(options), "red")).status_code == 401, "counts once"
    assert (await thief.send("GET", "/routes")).status_code == 401, "every other session ended"
    for path in (PLACE, "/operators/totp"):
        answer = await browser.send("POST", path, {"password": ADA})
        assert (answer.status_code, answer.json()["second_factor"]) == (401, ["webauthn", "recovery"])
    proof = held.get(await again(browser))
    await offered(browser, proof)
    assert (await browser.send("POST", PLACE, {"password": ADA, "code": proof})).status_code == 401, "used up"
    assert (await browser.send("DELETE", f"{PLACE}/blue", {"password": ADA, "code": ""})).status_code == 401
    assert (await browser.send("DELETE", f"{PLACE}/blue", {"password": WRONG, "code": held.get(options)})).status_code == 401


async def test_adding_a_key_by_a_page_of_another_site(replica: Replica) -> None:
    browser = Browser(replica)
    await browser.login("ada", ADA)
    token, browser.csrf = browser.csrf, ""
    for path, body in ((PLACE, {"password": ADA}), (f"{PLACE}/confirm", {"name": "blue", "credential": "{}"})):
        assert (await browser.send("POST", path, body)).status_code == 403
        assert (await browser.send("POST", path, body, x_csrf_token=token, origin="https://evil.example")).status_code == 403
    assert (await Browser(replica).send("POST", PLACE, {"password": ADA})).status_code == 401


@pytest.mark.parametrize(
    ("other", "made"),
    [
        ({"origin": "https://evil.example"}, {}),
        ({"host": "evil.example"}, {}),
        ({"flags": PRESENT}, {}),
        ({"says": {"type": "webauthn.get"}}, {}),
        ({"says": {"crossOrigin": True}}, {}),
        ({}, {"flags": PRESENT | VERIFIED}),
        ({"id": b""}, {}),
        ({"id": bytes(1024)}, {}),
        ({}, {"key": {1: 2, 3: -7, -1: 1, -2: bytes(32), -3: bytes(32)}}),
        ({}, {"key": {1: 2, 3: -7, -1: 2, -2: bytes(32), -3: bytes(32)}}),
        ({}, {"key": {1: 1, 3: -7}}),
        ({}, {"key": {1: 2, 3: -47, -1: 8, -2: bytes(32), -3: bytes(32)}}),
        ({"private": rsa.generate_private_key(65537, SHORT)}, {}),
    ],
    ids=[
        "origin",
        "host",
        "unverified",
        "type",
        "frame",
        "none",
        "no-id",
        "long-id",
        "off-curve",
        "curve",
        "kind",
        "algorithm",
        "short-rsa",
    ],
)
async def test_adding_a_key_that_was_made_elsewhere_or_is_weak(replica: Replica, other: Any, made: Any) -> None:
    browser = Browser(replica)
    await browser.login("ada", ADA)
    assert (await confirm(browser, key(**other).create(await offered(browser), **made))).status_code == 401
    assert (await browser.send("GET", PLACE)).json()["keys"] == []


async def test_a_key_of_another_account_and_more_keys_than_there_may_be(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    assert security_keys.MOST == 8
    monkeypatch.setattr(security_keys, "MOST", 2)
    held, _ = await enrolled(replica)
    await replica.add("bob", BOB)
    browser = Browser(replica)
    await browser.login("bob", BOB)
    answer = await confirm(browser, key(id=held.id).create(await offered(browser, password=BOB)))
    assert (answer.status_code, "in use" in answer.json()["detail"]) == (422, True)
    browser = Browser(replica)
    await entered(browser, held)
    created = key().create(await offered(browser, held.get(await again(browser))))
    for name in ("blue", "Blue!", ""):
        assert (await confirm(browser, created, name)).status_code == 422, "taken, or no name"
    assert (await confirm(browser, created, "spare")).status_code == 200
    answer = await browser.send("POST", PLACE, {"password": ADA, "code": held.get(await again(browser))})
    assert (answer.status_code, "2 keys" in answer.json()["detail"]) == (422, True)


async def test_removing_keys_and_what_is_told_of_it(replica: Replica) -> None:
    held, codes = await enrolled(replica)
    browser = Browser(replica)
    await entered(browser, held)
    listed = (await browser.send("GET", "/operators")).json()["operators"][0]
    assert (listed["factors"], listed["keys"]) == (["webauthn", "recovery"], ["blue"])
    renewed = await browser.send("POST", "/operators/recovery", {"password": ADA, "code": codes[0]})
    assert len(renewed.json()["recovery_codes"]) == 10
    assert (
        await browser.send("DELETE", f"{PLACE}/red", {"password": ADA, "code": held.get(await again(browser))})
    ).status_code == 404
    answer = await browser.send("DELETE", f"{PLACE}/blue", {"password": ADA, "code": held.get(await again(browser))})
    assert answer.status_code == 200
    assert (await browser.send("GET", "/operators")).json()["operators"][0]["factors"] == []
    assert (await Browser(replica).login("ada", ADA)).status_code == 200
    told = [(each["action"], each["detail"]) for each in replica.events("operator.account")]
    assert told == [("webauthn.added", "blue"), ("recovery.renewed", None), ("webauthn.removed", "blue")]
    assert json.dumps(held.get({"publicKey": {"challenge": ""}}))[10:40] not in repr(replica.running.told)


async def test_a_reset_of_the_factors_takes_keys_away(replica: Replica) -> None:
    await enrolled(replica)
    await replica.books(lambda books: books.reset("ada", BOB, factors=False))
    assert (await Browser(replica).login("ada", BOB)).json()["second_factor"] == ["webauthn", "recovery"]
    await replica.books(lambda books: books.reset("ada", ADA, factors=True))
    assert (await Browser(replica).login("ada", ADA)).status_code == 200


async def test_a_touch_alone_where_the_configuration_says_that_it_is_enough(file: Path) -> None:
    replica = Replica(file, local={"key_verification": False})
    await replica.add("ada", ADA)
    held, _ = await enrolled(replica, flags=PRESENT)
    assert (await entered(Browser(replica), held)).status_code == 200
    assert (await entered(Browser(replica), replace(held, flags=0))).status_code == 401


async def test_a_key_for_an_address_which_keys_are_not_bound_to(file: Path) -> None:
    replica = Replica(file, origin="http://127.0.0.1:9901")
    await replica.add("ada", ADA)
    browser = Browser(replica)
    await browser.send("POST", "/operators/login", {"name": "ada", "password": ADA}, host="127.0.0.1:9901")
    answer = await browser.send("POST", PLACE, {"password": ADA}, host="127.0.0.1:9901")
    assert (answer.status_code, "localhost" in answer.json()["detail"]) == (422, True)
