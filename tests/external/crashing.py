"""A gateway that is killed at one step of a refresh, and what another one finds afterwards."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from tests.external.replicas import Gates, World, ask
from tests.gate import Gate, Stop
from tests.standalone import Standalone, until

PATIENCE = 60.0


@dataclass(frozen=True)
class Step:
    """Where the victim stands when it is killed, and whether its pair is lost there: the provider gave it, nobody has it."""

    gate: Literal["database", "provider", "api"]
    stop: Stop
    lost: bool = False

    def of(self, gates: Gates) -> Gate:
        return {"database": gates.database, "provider": gates.provider, "api": gates.api}[self.gate]


STEPS = {
    "before-the-lease": Step("database", Stop("INSERT leases")),
    "the-lease-not-committed": Step("database", Stop("COMMIT INSERT leases")),
    "the-lease-committed": Step("database", Stop("COMMIT INSERT leases", answered=True)),
    "before-reading-again": Step("database", Stop("SELECT grants", 3)),
    "read-again": Step("database", Stop("COMMIT SELECT grants", 3, answered=True)),
    "the-request-not-sent": Step("provider", Stop("request")),
    "the-answer-not-read": Step("provider", Stop("request", answered=True), lost=True),
    "the-pair-not-written": Step("database", Stop("UPDATE grants"), lost=True),
    "the-pair-not-committed": Step("database", Stop("COMMIT UPDATE grants"), lost=True),
    "the-pair-committed": Step("database", Stop("COMMIT UPDATE grants", answered=True)),
    "before-the-lease-is-given-back": Step("database", Stop("UPDATE leases")),
    "before-the-token-is-used": Step("api", Stop("request")),
}
DAILY = ("the-lease-committed", "the-answer-not-read", "the-pair-not-committed", "the-pair-committed")
"""One of each kind: a lease and nothing asked, a pair given that nobody has read, one not stored, one stored and its lease held."""


async def killed(world: World, step: Step, subject: str) -> None:
    """Let a gateway of its own refresh the grant of `subject`, and kill it at the step."""
    await world.keep(subject, await world.provider.made(subject), expired=True)
    async with world.gates() as gates, world.replica(subject, gates) as victim:
        gate = step.of(gates)
        gate.stop(step.stop)
        async with asyncio.timeout(PATIENCE):
            asking = await _hanging(gate, victim, subject)
        victim.process.kill()
        await victim.process.wait()
        gates.cut()
        await asking


async def _hanging(gate: Gate, victim: Standalone, subject: str) -> "asyncio.Task[None]":
    """Ask until it hangs at the gate: on a busy machine a request may be answered 503 before it is there."""
    reached = asyncio.create_task(gate.reached.wait())
    try:
        while True:
            asking = asyncio.create_task(_asked(victim, subject))
            await asyncio.wait((asking, reached), return_when=asyncio.FIRST_COMPLETED)
            if reached.done():
                return asking
    finally:
        reached.cancel()


async def _asked(victim: Standalone, subject: str) -> None:
    with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
        await ask(victim, subject)


async def nothing_is_lost(world: World, survivor: Standalone, subject: str) -> None:
    """The other one serves with one refresh in all, and the provider takes the refresh token that is stored now."""
    assert [(await ask(survivor, subject)).status for _ in range(3)] == [200] * 3
    assert await world.provider.told(f"grants/{subject}") == {"refreshed": 1, "refused": 0, "revoked": 0}
    grant = await world.grant(subject)
    assert grant.refresh is not None
    assert await world.provider.takes(grant.refresh.reveal().decode())


async def only_connecting_helps(world: World, survivor: Standalone, subject: str) -> None:
    """The other one says so, does not ask the provider again, and serves as soon as the principal has connected."""
    for _ in range(5):
        reply = await ask(survivor, subject)
        assert reply.status == 403
        assert (reply.json()["action"], reply.json()["problem"]) == ("reconnect", "interrupted")
    assert await world.provider.told(f"grants/{subject}") == {"refreshed": 1, "refused": 1, "revoked": 1}
    assert f"gateway grants add --provider tracker --issuer corp --subject {subject}" in survivor.stderr.decode()
    await world.keep(subject, await world.provider.made(subject), expired=False)

    async def serves() -> bool:
        return (await ask(survivor, subject)).status == 200

    await until(serves, "a grant that was connected anew is not used")
    assert await world.provider.told(f"grants/{subject}") == {"refreshed": 1, "refused": 1, "revoked": 1}


async def crash(world: World, survivor: Standalone, name: str, number: int, *, patient: bool) -> float:
    """One round; `patient` waits for the lease's end, as users would. Gives how long it took, in seconds."""
    began, step, subject = time.monotonic(), STEPS[name], f"{name}-{number}"
    await killed(world, step, subject)
    if patient:
        await until(lambda: _answers(survivor, subject), "the lease of a dead gateway does not end")
    else:
        await world.leases_end(subject)
    await (only_connecting_helps if step.lost else nothing_is_lost)(world, survivor, subject)
    return time.monotonic() - began


async def _answers(survivor: Standalone, subject: str) -> bool:
    """Whether it is not 503 any more, which it is as long as the lease may be somebody's."""
    return (await ask(survivor, subject)).status != 503
