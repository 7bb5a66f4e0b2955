"""Whoever is no operator, or not as much of one, tries to be: each test is named after what is tried."""

import asyncio
import base64
import threading
import time
from pathlib import Path
from statistics import median

import pytest
from sqlalchemy import text

from gateway.detection.model import Detection
from gateway.operators.passwords import AT_ONCE, MOST_WAITING
from gateway.operators.secondary import hotp
from gateway.store.sql.engine import Database
from gateway.store.sql.model import Sqlite
from tests.fakes import SteppedClock
from tests.operating import ADA, BOB, NEXT, ORIGIN, Browser, Replica, copied, template
from tests.standalone import until
from tests.unit.admin.test_admin import Token

WRONG = "a password of nobody at all"


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


async def test_enumerating_users_by_the_answer(replica: Replica) -> None:
    await replica.add("gone", BOB)
    await replica.books(lambda books: books.disable("gone", disabled=True))
    answers = [
        await Browser(replica, f"192.0.2.{number}").login(name, password)
        for number, (name, password) in enumerate(
            [
                ("ada", WRONG),
                ("nobody", WRONG),
                ("no such name!", WRONG),
                ("gone", BOB),
                ("", ""),
                ("ada", "x" * 5000),
                ("!bootstrap", ""),
            ]
        )
    ]
    documents = [answer.json() for answer in answers]
    for document in documents:
        del document["instance"], document["request_id"], document["timestamp"]
    assert {answer.status_code for answer in answers} == {401}
    assert all(document == documents[0] for document in documents)
    assert len({tuple(sorted(answer.headers.keys())) for answer in answers}) == 1
    assert [each["operator"] for each in replica.events("operator.login.failed")][1] is None, "a name of nobody may be a password"


async def test_enumerating_users_by_the_time_that_an_answer_takes(replica: Replica) -> None:
    """Both cost one argon2id: medians of interleaved tries differ by less than half of it. 0.5 s are added to each failure besides."""
    passwords, account = replica.office.passwords, await replica.office.held("ada")
    assert account is not None
    took: dict[bool, list[float]] = {True: [], False: []}
    for known in [True, False] * 7:
        began = time.process_time()
        assert not await passwords.verify(account.account.hash if known else None, WRONG)
        took[known].append(time.process_time() - began)
    assert abs(median(took[True]) - median(took[False])) < max(median(took[True]), median(took[False])) / 2


async def test_guessing_one_password_from_one_address_is_stopped_and_does_not_lock_the_victim_out(replica: Replica) -> None:
    victim, guesser, moved = Browser(replica), Browser(replica, "198.51.100.7"), Browser(replica, "203.0.113.9")
    assert (await victim.login("ada", ADA)).status_code == 200
    statuses = [(await guesser.login("ada", f"{WRONG} {number}")).status_code for number in range(7)]
    assert statuses == [401] * 5 + [403] * 2
    assert (await guesser.login("ada", ADA)).status_code == 403, "refused before the password is looked at"
    assert (await moved.login("ada", ADA)).status_code == 200, "another address"
    at_his = Browser(replica, "198.51.100.7")
    at_his.cookies = {name: value for name, value in victim.cookies.items() if name.endswith("-device")}
    assert (await at_his.login("ada", ADA)).status_code == 200, "the same address, and a browser that ada has used"
    assert (await at_his.login("bob", ADA)).status_code == 403, "ada's browser counts for ada alone"


async def test_an_address_that_guessed_is_seen_and_released_by_another_operator(replica: Replica) -> None:
    guesser, admin = Browser(replica, "198.51.100.7"), Browser(replica)
    for _ in range(6):
        await guesser.login("ada", WRONG)
    await admin.login("ada", ADA)
    [row] = (await admin.send("GET", "/blocks")).json()["addresses"]
    assert row["network"] == "198.51.100.7"
    assert (await admin.send("DELETE", "/blocks?address=198.51.100.7")).status_code == 200
    assert (await admin.send("DELETE", "/blocks?address=198.51.100.7")).status_code == 404
    assert (await guesser.login("ada", ADA)).status_code == 200
    assert replica.events("operator.acted")[0]["operator"] == "ada"


async def test_guessing_one_password_from_many_addresses_has_one_guess_an_address(file: Path) -> None:
    detection = Detection.model_validate({"rules": [{"type": "brute_force", "per_identity": 3}]})
    replica = Replica(file, detection=detection)
    await replica.add("ada", ADA)
    for number in range(3):
        assert (await Browser(replica, f"198.51.100.{number}").login("ada", WRONG)).status_code == 401
    late = Browser(replica, "203.0.113.1")
    assert [(await late.login("ada", WRONG)).status_code for _ in range(2)] == [401, 403]
    assert (await Browser(replica, "203.0.113.2").login("ada", ADA)).status_code == 200


async def test_spraying_one_password_over_many_accounts(replica: Replica) -> None:
    sprayer = Browser(replica, "198.51.100.8")
    statuses = [(await sprayer.login(f"operator{number}", WRONG)).status_code for number in range(7)]
    assert statuses == [401] * 5 + [403] * 2


async def test_very_long_passwords_cost_nothing_and_floods_are_bounded(replica: Replica) -> None:
    browser = Browser(replica)
    assert (await browser.login("ada", "x" * 9000)).status_code == 413
    held, most, threads = threading.Event(), [0, 0], replica.desk.threads

    def hashing() -> None:
        most[0] += 1
        most[1] = max(most)
        held.wait(60)
        most[0] -= 1

    flood = [asyncio.create_task(threads.run(hashing)) for _ in range(MOST_WAITING)]

    async def is_busy() -> bool:
        return most[0] == AT_ONCE

    await until(is_busy, "hashing")
    assert (await browser.login("ada", ADA)).status_code == 503, "nobody waits without end"
    for long in ("x" * 129, "\ufdfa" * 128):  # eighteen characters each once normalised
        assert not await replica.office.passwords.verify(None, long), "judged without a hash"
    held.set()
    await asyncio.gather(*flood)
    assert most == [0, AT_ONCE]
    assert (await browser.login("ada", ADA)).status_code == 200


async def test_logins_of_one_address_at_once_are_two(replica: Replica) -> None:
    answers = await asyncio.gather(*(Browser(replica).login("ada", WRONG) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [401, 401, 429, 429, 429, 429]


async def test_fixing_a_session_before_the_login(replica: Replica) -> None:
    attacker, victim = Browser(replica), Browser(replica)
    await replica.add("mallory", BOB)
    assert (await attacker.login("mallory", BOB)).status_code == 200
    fixed = dict(attacker.cookies)
    victim.cookies = dict(fixed)
    assert (await victim.login("ada", ADA)).status_code == 200
    assert victim.cookies["__Host-gateway-operator"] != fixed["__Host-gateway-operator"]
    assert (await attacker.send("GET", "/operators/me")).status_code == 401, "what was put there is of no use"
    made_up = Browser(replica)
    made_up.cookies = {"__Host-gateway-operator": "A" * 43}
    assert (await made_up.send("GET", "/operators/me")).status_code == 401


async def test_a_copied_session_ends_with_the_password(replica: Replica) -> None:
    browser, thief = Browser(replica), Browser(replica, "198.51.100.9")
    await browser.login("ada", ADA)
    thief.cookies, thief.csrf = dict(browser.cookies), browser.csrf
    assert (await thief.send("GET", "/routes")).status_code == 200
    assert (await browser.send("POST", "/operators/password", {"old": ADA, "new": NEXT})).status_code == 200
    assert (await thief.send("GET", "/routes")).status_code == 401
    assert (await browser.send("GET", "/routes")).status_code == 200, "under another id"
    assert (await Browser(replica).login("ada", ADA)).status_code == 401


async def test_a_stolen_session_does_not_guess_the_password(replica: Replica) -> None:
    browser = Browser(replica)
    await browser.login("ada", ADA)
    guesses = [(await browser.send("POST", "/operators/password", {"old": WRONG, "new": NEXT})).status_code for _ in range(6)]
    assert guesses == [401] * 5 + [403]
    assert (await Browser(replica).login("ada", ADA)).status_code == 200


async def test_forging_writes_across_sites(replica: Replica) -> None:
    browser = Browser(replica)
    await browser.login("ada", ADA)
    token, browser.csrf = browser.csrf, ""
    path = "/operators/ada/enable"
    assert (await browser.send("POST", path)).status_code == 403, "no token"
    assert (await browser.send("POST", path, x_csrf_token="x" * 43)).status_code == 403
    assert (await browser.send("POST", path, x_csrf_token=token, origin="https://evil.example")).status_code == 403
    assert (await browser.send("POST", path, x_csrf_token=token, origin="null")).status_code == 403
    assert (await browser.send("POST", path, x_csrf_token=token, sec_fetch_site="cross-site")).status_code == 403
    assert (await browser.send("POST", path, x_csrf_token=token, sec_fetch_site="same-site")).status_code == 403
    assert (await browser.send("POST", path, x_csrf_token=token, origin=ORIGIN, sec_fetch_site="same-origin")).status_code == 200
    other = Browser(replica)
    await other.login("ada", ADA)
    assert (await browser.send("POST", path, x_csrf_token=other.csrf)).status_code == 403, "of another session"


async def test_logging_a_victim_in_by_a_form_of_another_site(replica: Replica) -> None:
    said = '{"name": "ada", "password": "' + ADA + '"}'
    browser = Browser(replica)
    answer = await browser.send("POST", "/operators/login", said, content_type="text/plain")
    assert (answer.status_code, browser.cookies) == (415, {})
    assert (await browser.send("POST", "/operators/login", {}, origin="https://evil.example")).status_code == 403


async def test_a_viewer_writes(replica: Replica) -> None:
    await replica.add("vera", BOB, "viewer")
    viewer = Browser(replica)
    await viewer.login("vera", BOB)
    for path in ("/routes", "/config_dump", "/blocks", "/loglevel", "/sessions", "/operators/me"):
        assert (await viewer.send("GET", path)).status_code == 200
    for method, path in (
        ("PUT", "/loglevel"),
        ("DELETE", "/blocks?address=192.0.2.1"),
        ("DELETE", "/sessions?issuer=corp&subject=ada"),
        ("DELETE", "/sessions/abc"),
        ("GET", "/operators"),
        ("POST", "/operators"),
        ("POST", "/operators/vera/role"),
        ("POST", "/operators/ada/reset"),
        ("POST", "/operators/ada/disable"),
    ):
        assert (await viewer.send(method, path, {"role": "operator"})).status_code == 403, (method, path)
    assert replica.running.told == [each for each in replica.running.told if each["event"] == "operator.login"]


async def test_two_credentials_at_once_are_none(replica: Replica) -> None:
    browser = Browser(replica)
    await browser.login("ada", ADA)
    assert (await browser.send("GET", "/routes", authorization="Bearer the-operators-token")).status_code == 400
    twice = f"__Host-gateway-operator={'A' * 43}; __Host-gateway-operator={browser.cookies['__Host-gateway-operator']}"
    assert (await browser.send("GET", "/routes", cookie=twice)).status_code == 400


async def test_one_who_was_disabled_or_lost_a_role_elsewhere_is_out_within_a_second(file: Path) -> None:
    clock = SteppedClock()
    one, other = Replica(file, clock=clock), Replica(file, clock=clock)
    await one.add("ada", ADA)
    browser = Browser(one)
    await browser.login("ada", ADA)
    await other.books(lambda books: books.disable("ada", disabled=True))
    clock.step(1.1)
    assert (await browser.send("GET", "/routes")).status_code == 401
    await other.books(lambda books: books.disable("ada", disabled=False))
    clock.step(1.1)
    await browser.login("ada", ADA)
    await other.books(lambda books: books.grant("ada", "viewer"))
    clock.step(1.1)
    assert (await browser.send("GET", "/routes")).status_code == 401


async def test_sessions_end_when_nobody_uses_them_and_at_the_latest_after_eight_hours(file: Path) -> None:
    clock = SteppedClock()
    replica = Replica(file, clock=clock)
    await replica.add("ada", ADA)
    idle, busy = Browser(replica), Browser(replica)
    await idle.login("ada", ADA)
    await busy.login("ada", ADA)
    statuses = []
    for _ in range(35):
        clock.step(840)
        statuses.append((await busy.send("GET", "/routes")).status_code)
    assert statuses == [200] * 34 + [401]
    assert (await idle.send("GET", "/routes")).status_code == 401


# Second factors


async def enrolled(replica: Replica) -> tuple[str, list[str]]:
    """Ada's seed, and her recovery codes."""
    browser = Browser(replica)
    await browser.login("ada", ADA)
    offered = (await browser.send("POST", "/operators/totp", {"password": ADA})).json()
    seed = base64.b32decode(offered["secret"])
    answer = await browser.send("POST", "/operators/totp/confirm", {"code": code(replica, seed)})
    replica.clock.step(30)
    return seed.hex(), answer.json()["recovery_codes"]


def code(replica: Replica, seed: bytes | str, later: int = 0) -> str:
    raw = bytes.fromhex(seed) if isinstance(seed, str) else seed
    return hotp(raw, int(replica.clock.now() // 30) + later)


async def test_a_password_alone_where_there_is_a_second_factor(replica: Replica) -> None:
    seed, _ = await enrolled(replica)
    answer = await Browser(replica).login("ada", ADA)
    assert (answer.status_code, answer.json()["second_factor"]) == (401, ["totp", "recovery"])
    assert "second_factor" not in (await Browser(replica).login("ada", WRONG, code(replica, seed))).json()
    assert (await Browser(replica).login("ada", ADA, code(replica, seed))).status_code == 200


async def test_replaying_a_code_on_a_second_replica(file: Path) -> None:
    """The step that was used stands in the account's row, which one of those who race for it writes: no store beside is needed."""
    clock = SteppedClock()
    one, other = Replica(file, clock=clock), Replica(file, clock=clock)
    await one.add("ada", ADA)
    seed, _ = await enrolled(one)
    seen = code(one, seed)
    assert (await Browser(one).login("ada", ADA, seen)).status_code == 200
    assert (await Browser(other, "192.0.2.2").login("ada", ADA, seen)).status_code == 401
    assert (await Browser(other, "192.0.2.2").login("ada", ADA, code(one, seed, -1))).status_code == 401, "an earlier one"
    clock.step(30)
    fresh = code(one, seed)
    race = await asyncio.gather(
        *(Browser(each, f"192.0.2.{n}").login("ada", ADA, fresh) for n, each in enumerate((one, other) * 2))
    )
    assert sorted(answer.status_code for answer in race) == [200, 401, 401, 401]


async def test_using_a_recovery_code_twice(replica: Replica) -> None:
    _, codes = await enrolled(replica)
    assert len(set(codes)) == 10
    assert (await Browser(replica).login("ada", ADA, codes[0].upper())).status_code == 200
    assert (await Browser(replica).login("ada", ADA, codes[0])).status_code == 401
    assert (await Browser(replica).login("ada", ADA, codes[1])).status_code == 200


async def test_guessing_codes_with_the_right_password(replica: Replica) -> None:
    await enrolled(replica)
    guesser = Browser(replica, "198.51.100.3")
    statuses = [(await guesser.login("ada", ADA, f"{number:06d}")).status_code for number in range(6)]
    assert statuses == [401] * 5 + [403]


async def test_a_stolen_session_does_not_take_the_second_factor_away(replica: Replica) -> None:
    seed, codes = await enrolled(replica)
    browser = Browser(replica)
    await browser.login("ada", ADA, code(replica, seed))
    assert (await browser.send("DELETE", "/operators/totp", {"password": ADA, "code": "000000"})).status_code == 401
    assert (await browser.send("DELETE", "/operators/totp", {"password": WRONG, "code": codes[0]})).status_code == 401
    assert (await browser.send("POST", "/operators/recovery", {"password": ADA, "code": "000000"})).status_code == 401
    renewed = (await browser.send("POST", "/operators/recovery", {"password": ADA, "code": codes[0]})).json()["recovery_codes"]
    assert not set(renewed) & set(codes)
    assert (await Browser(replica).login("ada", ADA, codes[1])).status_code == 401
    assert (await browser.send("DELETE", "/operators/totp", {"password": ADA, "code": renewed[0]})).status_code == 200
    assert (await Browser(replica).login("ada", ADA)).status_code == 200


async def test_a_stolen_session_and_the_password_do_not_replace_the_second_factor(replica: Replica) -> None:
    seed, codes = await enrolled(replica)
    thief = Browser(replica)
    await thief.login("ada", ADA, code(replica, seed))
    for said in ({}, {"code": ""}, {"code": "000000"}, {"code": code(replica, seed)}):
        answer = await thief.send("POST", "/operators/totp", {"password": ADA} | said)
        assert answer.status_code == 401, "none, wrong, or used at the login"
    assert (await thief.send("POST", "/operators/totp", {"password": ADA, "code": codes[0]})).status_code == 200, "its owner may"
    assert (await Browser(replica).login("ada", ADA, codes[0])).status_code == 401, "which used it up"


@pytest.mark.parametrize("name", ["ada", "ADA", "%20Ada", "\uff21da"])
async def test_a_stolen_session_resets_or_disables_its_own_account(replica: Replica, name: str) -> None:
    await replica.add("bob", BOB)
    thief = Browser(replica)
    await thief.login("ada", ADA)
    reset = {"password": NEXT, "factors": "remove"}
    assert (await thief.send("POST", f"/operators/{name}/reset", reset)).status_code == 422
    assert (await thief.send("POST", f"/operators/{name}/disable")).status_code == 422
    assert (await Browser(replica).login("ada", ADA)).status_code == 200
    assert (await thief.send("POST", "/operators/bob/reset", reset)).status_code == 200


# The first account


async def test_a_bootstrap_token_used_twice_or_after_somebody_has_an_account(file: Path) -> None:
    replica = Replica(file)
    first = await replica.books(lambda books: books.token())
    second = await replica.books(lambda books: books.token())
    said = {"name": "ada", "password": ADA}
    browser = Browser(replica)
    assert (await browser.send("POST", "/operators/bootstrap", {"token": first, **said})).status_code == 401, "replaced"
    assert (await browser.send("POST", "/operators/bootstrap", {"token": second, **said, "password": "short"})).status_code == 422
    race = await asyncio.gather(
        *(
            Browser(replica, f"192.0.2.{n}").send("POST", "/operators/bootstrap", {"token": second, **said, "name": f"ada{n}"})
            for n in range(3)
        )
    )
    assert sorted(answer.status_code for answer in race) == [201, 401, 401]
    assert (await browser.send("POST", "/operators/bootstrap", {"token": second, **said})).status_code == 401
    assert await replica.books(lambda books: books.token()) is None, "none is given while there are accounts"


async def test_a_bootstrap_token_that_is_old_or_was_guessed(file: Path) -> None:
    clock = SteppedClock()
    replica = Replica(file, clock=clock)
    said = {"name": "ada", "password": ADA}
    token = await replica.books(lambda books: books.token())
    guesser = Browser(replica, "198.51.100.4")
    guesses = [(await guesser.send("POST", "/operators/bootstrap", {"token": f"{n}", **said})).status_code for n in range(6)]
    assert guesses == [401] * 5 + [403]
    clock.step(1801)
    assert (await Browser(replica).send("POST", "/operators/bootstrap", {"token": token, **said})).status_code == 401


# Where addresses tell nobody apart


@pytest.mark.parametrize("address", ["192.0.2.1", ""], ids=["never_block", "unix socket"])
async def test_guessing_through_an_address_that_is_never_blocked_is_counted_for_the_name_at_new_browsers(
    file: Path, address: str
) -> None:
    replica = Replica(file, detection=Detection.model_validate({"never_block": ["192.0.2.0/24"]}))
    await replica.add("ada", ADA)
    await replica.add("bob", BOB)
    seed, _ = await enrolled(replica)
    known, guesser = Browser(replica, address), Browser(replica, address)
    assert (await known.login("ada", ADA, code(replica, seed))).status_code == 200
    replica.clock.step(30)
    wrong = [(await guesser.login(name, ADA, "000000")).status_code for name in ("ada", "ADA ", "ada", "ada", "ada", "ada")]
    assert wrong == [401] * 5 + [403], "however the name is written"
    assert [(await guesser.login("nobody", WRONG)).status_code for _ in range(6)] == wrong, "a name of nobody tells nothing"
    assert (await known.login("ada", ADA, code(replica, seed))).status_code == 200, "a browser that ada has used"
    assert (await Browser(replica, address).login("bob", BOB)).status_code == 200, "another name"
    listed = await known.send("GET", "/blocks")
    assert [each["network"] for each in listed.json()["addresses"]] == ["name.ada", "name.nobody"]
    replica.clock.step(30)
    assert (await known.send("DELETE", "/blocks?address=name.ada")).status_code == 200
    assert (await known.send("DELETE", "/blocks?address=name.ada")).status_code == 404
    assert (await guesser.login("ada", ADA, code(replica, seed))).status_code == 200


async def test_guessing_the_bootstrap_token_through_a_proxy_does_not_keep_the_first_operator_out(file: Path) -> None:
    replica = Replica(file, detection=Detection.model_validate({"never_block": ["192.0.2.1"]}))
    said = {"token": await replica.books(lambda books: books.token()), "name": "ada", "password": ADA}
    guesses = [await Browser(replica).send("POST", "/operators/bootstrap", said | {"token": f"{n}"}) for n in range(6)]
    assert {answer.status_code for answer in guesses} == {401}
    assert (await Browser(replica).send("POST", "/operators/bootstrap", said)).status_code == 201


async def test_guessing_the_admin_token_is_counted_and_does_not_keep_its_owner_out(replica: Replica) -> None:
    wrong, right = {"authorization": "Bearer wrong"}, {"authorization": f"Bearer {Token().current().reveal().decode()}"}
    assert {(await Browser(replica).send("GET", "/routes", **wrong)).status_code for _ in range(5)} == {401}
    [told] = replica.events("address.blocked")
    assert told["client"] == "192.0.2.1"
    assert (await Browser(replica).login("ada", ADA)).status_code == 403, "the address has guessed"
    assert (await Browser(replica).send("GET", "/routes", **right)).status_code == 200
    for _ in range(5):
        await Browser(replica, "").send("GET", "/routes", **wrong)
    assert len(replica.events("address.blocked")) == 1, "a unix socket is nobody's address"


async def test_a_browser_that_is_remembered_does_not_outlive_the_password_nor_ninety_days(replica: Replica) -> None:
    def device(browser: Browser) -> dict[str, str]:
        return {name: value for name, value in browser.cookies.items() if name.endswith("-device")}

    thief, guesser = Browser(replica, "198.51.100.7"), Browser(replica, "198.51.100.7")
    await thief.login("ada", ADA)
    for _ in range(5):
        await guesser.login("ada", WRONG)
    guesser.cookies = device(thief)
    assert (await guesser.login("ada", WRONG)).status_code == 401, "counted for itself"
    await replica.books(lambda books: books.reset("ada", NEXT, factors=False))
    replica.clock.step(1.1)
    assert (await guesser.login("ada", WRONG)).status_code == 403, "a new browser, at a blocked address"

    old = Browser(replica)
    await old.login("ada", NEXT)
    late = Browser(replica, "198.51.100.7")
    late.cookies = device(old)
    replica.clock.step(90 * 86400 + 1)
    for _ in range(5):
        await guesser.login("ada", WRONG)
    assert (await late.login("ada", NEXT)).status_code == 403


# Who writes the database


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE operators SET body = replace(body, '\"viewer\"', '\"operator\"') WHERE name = 'vera'",
        "UPDATE operators SET body = (SELECT body FROM operators WHERE name = 'mallory') WHERE name = 'vera'",
        "UPDATE operators SET name = 'vera', mac = mac WHERE name = 'mallory'",
        "UPDATE operators SET version = version + 1 WHERE name = 'vera'",
        "UPDATE operators SET mac = '' WHERE name = 'vera'",
    ],
    ids=["a role", "another's password", "another's name", "a version", "no code"],
)
async def test_a_row_that_was_altered_opens_to_nobody(replica: Replica, statement: str) -> None:
    await replica.add("vera", BOB, "viewer")
    await replica.add("mallory", NEXT)
    database = Database(Sqlite(file=replica.file))
    if "SET name" in statement:
        await database.write(text("DELETE FROM operators WHERE name = 'vera'"))
    assert await database.write(text(statement)) == 1
    await database.close()
    for password in (BOB, NEXT):
        assert (await Browser(replica).login("vera", password)).status_code == 401
    assert replica.events("operator.refused")[0]["operator"] == "vera"
    admin = Browser(replica)
    await admin.login("ada", ADA)
    assert (await admin.send("GET", "/operators")).json()["refused"] == ["vera"]


async def test_an_older_row_put_back_does_not_bring_an_old_password_back(replica: Replica) -> None:
    database = Database(Sqlite(file=replica.file))
    [row] = await database.rows(text("SELECT body, mac, version FROM operators WHERE name = 'ada'"))
    browser = Browser(replica)
    await browser.login("ada", ADA)
    await browser.send("POST", "/operators/password", {"old": ADA, "new": NEXT})
    put_back = text("UPDATE operators SET body = :body, mac = :mac, version = :version")
    await database.write(put_back.bindparams(**row._mapping))
    await database.close()
    assert (await Browser(replica).login("ada", ADA)).status_code == 401


async def test_nothing_that_is_shown_or_told_holds_a_secret(replica: Replica) -> None:
    seed, codes = await enrolled(replica)
    browser = Browser(replica)
    await browser.login("ada", ADA, codes[0])
    listed = await browser.send("GET", "/operators")
    told = listed.text + repr(replica.running.told)
    for secret in (ADA, "argon2", seed, codes[0], browser.cookies["__Host-gateway-operator"]):
        assert secret not in told
    raw = b"".join(each.read_bytes() for each in replica.file.parent.glob("operators.db*"))
    for kept in (ADA.encode(), seed.encode(), bytes.fromhex(seed), codes[0].encode(), codes[0].replace("-", "").encode()):
        assert kept not in raw
