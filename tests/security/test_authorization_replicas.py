"""Two replicas that share a real Redis: a code or refresh token that one took the other refuses, what one revokes ends at both."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.authorizing import NOTES, Person, over, posted, redeemed, refreshed, used
from tests.house import House
from tests.login import ScriptedProvider, providers, replica
from tests.redis_server import RedisServer
from tests.standalone import until

Two = tuple[House, House, ScriptedProvider]


@pytest.fixture
async def two(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[Two]:
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(providers("corp"))
        chosen = over(made, state={"store": {"redis": {"url": redis_server.url}}})
        one, other = [await stack.enter_async_context(replica(tmp_path / name, made, over=chosen)) for name in ("one", "other")]
        yield one, other, made[0]


async def allowed(two: Two) -> str:
    """A code that somebody got at the first replica."""
    person = Person(two[0])
    await person.login(two[2])
    return await person.allows()


async def counts(gateway: House, token: str) -> bool:
    """Whether a token is accepted; a replica that does not know yet what was revoked says neither."""
    status = 503
    while status == 503:
        status = await used(gateway, token)
    return status == 200


async def ends(gateway: House, token: str) -> None:
    """Wait until a token counts no more."""

    async def ended() -> bool:
        return not await counts(gateway, token)

    await until(ended, "a token that was revoked counts on")


async def test_a_code_used_at_one_replica_is_refused_at_the_other_and_ends_what_it_gave(two: Two) -> None:
    one, other, _ = two
    code = await allowed(two)
    given = (await redeemed(one, code)).json()
    assert await counts(other, given["access_token"])
    again = await redeemed(other, code)
    assert (again.status, again.json()["error"]) == (400, "invalid_grant")
    for gateway in (other, one):
        await ends(gateway, given["access_token"])
    assert (await refreshed(one, given["refresh_token"])).status == 400


async def test_a_refresh_token_used_at_one_replica_is_a_copy_at_the_other(two: Two) -> None:
    one, other, _ = two
    first = (await redeemed(other, await allowed(two))).json()
    second = (await refreshed(one, first["refresh_token"])).json()
    third = (await refreshed(other, second["refresh_token"])).json()
    assert await counts(one, third["access_token"])
    assert (await refreshed(one, first["refresh_token"])).json()["error"] == "invalid_grant"
    for gateway in (one, other):
        await ends(gateway, third["access_token"])
        assert (await refreshed(gateway, third["refresh_token"])).status == 400


async def test_what_is_revoked_or_logged_out_at_one_replica_ends_at_both(two: Two) -> None:
    one, other, corp = two
    person = Person(one)
    await person.login(corp)
    revoked = (await redeemed(one, await person.allows())).json()
    logged_out = (await redeemed(one, await person.allows())).json()
    assert await counts(other, revoked["access_token"])
    assert (await posted(one, "revoke", client_id="app", token=revoked["refresh_token"])).status == 200
    await ends(other, revoked["access_token"])
    assert await counts(other, logged_out["access_token"])
    assert (await person.write("/.gateway/logout")).status == 303
    for gateway in (one, other):
        await ends(gateway, logged_out["access_token"])


async def test_while_redis_is_away_nothing_is_issued_and_nothing_used_up(two: Two, redis_server: RedisServer) -> None:
    one, other, corp = two
    person = Person(one)
    await person.login(corp)
    code = await person.allows()
    given = (await redeemed(one, await person.allows())).json()
    page = await person.sent(resource=NOTES)
    redis_server.kill()
    for gateway in (one, other):
        for answer in (
            await redeemed(gateway, code),
            await refreshed(gateway, given["refresh_token"]),
            await posted(gateway, "revoke", client_id="app", token=given["refresh_token"]),
        ):
            assert answer.status == 503
    assert (await person.answers(page)).status == 503


async def test_what_redis_holds_names_nobody_and_is_no_token(two: Two, redis_server: RedisServer) -> None:
    one, _, corp = two
    person = Person(one)
    await person.login(corp)
    code = await person.allows()
    given = (await redeemed(one, await person.allows())).json()
    given = given | (await refreshed(one, given["refresh_token"])).json()
    client = redis_server.client()
    held = b"".join(key + (client.dump(key) or b"") for key in client.scan_iter("*"))
    client.close()
    assert b"{latchgate}:token:family:" in held
    for secret in ("alice", "staff", "app.test", code, given["refresh_token"], given["access_token"], given["refresh_token"][4:40]):
        assert secret.encode() not in held
