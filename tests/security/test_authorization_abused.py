"""The token service turned against its clients and their people: blocked for others' guesses, kept waiting, given more than they may."""

import base64
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from gateway.authn.token import Token
from gateway.core.principal import Identity
from tests.authorizing import (
    CALLBACK,
    CLIENTS,
    GRANTS,
    NOTES,
    SECRET,
    Person,
    led,
    posted,
    redeemed,
    refreshed,
    server_house,
    told,
    used,
)
from tests.holding import Holder
from tests.house import House
from tests.login import HOST, ScriptedProvider

pytestmark = pytest.mark.asyncio(loop_scope="module")
Shared = tuple[House, list[ScriptedProvider]]
WRONG = "Basic " + base64.b64encode(b"server:another").decode()
RULE = {"type": "brute_force", "threshold": 20, "per_identity": 3, "window": "5m", "action": "block_address", "for": "15m"}
LASTING = {"auth": "none", "grants": GRANTS, "scopes": ["offline_access"], "audiences": [NOTES], "redirect_uris": [CALLBACK]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    clients = CLIENTS | {"lasting": LASTING}
    async with server_house(tmp_path_factory.mktemp("abused"), clients=clients, detection={"rules": [RULE]}) as found:
        yield found


async def logged_in(shared: Shared) -> Person:
    gateway, [corp, _] = shared
    person = Person(gateway)
    await person.login(corp)
    return person


def who(gateway: House, token: str) -> Identity:
    """Whom policies see behind a token."""
    [own] = [each.own for _, each in gateway.process.resources.authentication if each.own is not None]
    identity, _ = own.verifier(None).read(Token(token.encode(), 16384))
    return identity


async def test_offline_access_alone_is_no_way_to_all_of_a_persons_rights(shared: Shared) -> None:
    gateway, _ = shared
    person = await logged_in(shared)
    reply = await person.sent(scope="offline_access")
    assert told(reply["location"])["error"] == "invalid_scope"
    found = (await redeemed(gateway, await person.allows(scope="notes:read offline_access"), scope="offline_access")).json()
    narrow = who(gateway, found["access_token"])
    assert (narrow.scopes, narrow.scope_ceiling) == ((), True)


@pytest.mark.parametrize("scope", ["offline_access", None])
async def test_a_client_that_may_have_offline_access_alone_has_no_rights_by_it(shared: Shared, scope: str | None) -> None:
    gateway, _ = shared
    page = await (person := await logged_in(shared)).sent(client_id="lasting", scope=scope)
    assert b"none of the rights" in page.body
    assert b"all the rights" not in page.body
    code = told(led(await person.answers(page)))["code"]
    found = (await redeemed(gateway, code, client_id="lasting")).json()
    limited = who(gateway, found["access_token"])
    assert (limited.id, limited.scopes, limited.scope_ceiling) == ("alice", (), True)


async def test_invented_codes_and_tokens_have_no_client_blocked_that_proved_itself(shared: Shared) -> None:
    """Anybody may send a client's redirect URI a code."""
    gateway, _ = shared
    asked: dict[str, Any] = {"headers": {"Authorization": SECRET}, "client_id": None}
    for number in range(12):
        assert (await redeemed(gateway, "A" * 41 + f"{number:02}", **asked)).status == 400
        assert (await refreshed(gateway, "lgr_" + "A" * 84 + f"{number:02}", **asked)).status == 400
    mine = await posted(gateway, "token", headers={"Authorization": SECRET}, grant_type="client_credentials", scope="notes:read")
    assert mine.status == 200


async def test_who_fails_in_a_clients_name_does_not_make_its_own_error_a_block(shared: Shared) -> None:
    """What proved itself is proved to detection, and what proves nothing is nobody who could be guessed."""
    gateway, _ = shared
    tried = gateway.process.resources.guarding.guard

    async def statuses(*secrets: str) -> list[int]:
        form = {"grant_type": "client_credentials", "scope": "notes:read"}
        return [(await posted(gateway, "token", headers={"Authorization": each}, **form)).status for each in secrets]

    for number in range(4):
        tried.failed(f"198.51.100.{number}", "client:server")
    assert await statuses(SECRET, WRONG, WRONG, SECRET) == [200, 401, 401, 200]
    for number in range(4):
        assert (await redeemed(gateway, "B" * 42 + str(number))).status == 400
    assert set(tried.identities.entries) == {"client:server"}


async def test_a_strangers_proof_is_remembered_only_with_something_of_the_clients(shared: Shared) -> None:
    gateway, _ = shared
    person, owner = await logged_in(shared), Holder(now=time.time())

    def proved() -> dict[str, str]:
        return {"DPoP": owner.proof("", htm="POST", htu=f"http://{HOST}/.gateway/token", ath=None).decode()}

    proof = proved()
    for answer in (
        await redeemed(gateway, "C" * 43, headers=proof),
        await refreshed(gateway, "lgr_" + "C" * 86, headers=proof),
        await posted(gateway, "token", headers=proof, grant_type="x", client_id="app"),
    ):
        assert answer.json()["error"] in {"invalid_grant", "unsupported_grant_type"}
    found = await redeemed(gateway, await person.allows(), headers=proof)
    assert found.json()["token_type"] == "DPoP", found.body
    replayed = [
        await refreshed(gateway, found.json()["refresh_token"], headers=proof),
        await redeemed(gateway, code := await person.allows(), headers=proof),
    ]
    assert [answer.json()["error"] for answer in replayed] == ["invalid_dpop_proof"] * 2
    assert (await redeemed(gateway, code, headers=proved())).status == 200, "nothing was used up"
    proof = proved()
    again = await refreshed(gateway, found.json()["refresh_token"], headers=proof)
    assert again.status == 200
    assert (await refreshed(gateway, again.json()["refresh_token"], headers=proof)).json()["error"] == "invalid_dpop_proof"


async def test_what_narrows_a_token_is_not_passed_over_where_a_code_is_redeemed(shared: Shared) -> None:
    gateway, _ = shared
    code = await (await logged_in(shared)).allows(scope="notes:read")
    wishes: list[dict[str, Any]] = [{"expires_in": "soon"}, {"budget": "0"}, {"routes": "a/b"}, {"scope": "notes:write"}]
    for wrong in wishes:
        assert (await redeemed(gateway, code, **wrong)).json()["error"] in {"invalid_request", "invalid_scope"}
    found = (await redeemed(gateway, code, expires_in="300", budget="1", routes="app.notes")).json()
    assert (found["expires_in"] <= 300, found["budget"], found["scope"]) == (True, 1, "notes:read")
    assert [await used(gateway, found["access_token"]) for _ in range(2)] == [200, 401]
    again = (await refreshed(gateway, found["refresh_token"], routes="app.others")).json()
    assert await used(gateway, again["access_token"]) == 403
