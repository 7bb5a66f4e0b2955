"""Where sessions are kept across reloads."""

from typing import Any

import pytest

from gateway.config.values import Reference
from gateway.core.errors import DependencyDown
from gateway.core.ports import SecretSource
from gateway.core.session_store import SessionStore, Stored
from gateway.kept import Kept
from gateway.session_store import session_store
from gateway.store.model import State
from tests.fakes import SteppedClock


def no_secrets(_: Reference) -> SecretSource:
    raise AssertionError("memory takes none")


async def test_a_reload_with_another_size_forgets_no_session_and_one_that_fails_changes_nothing() -> None:
    kept: Kept[Any] = Kept()
    clock = SteppedClock()

    def built(most: int) -> SessionStore:
        return session_store("session", most, State(), no_secrets, kept, clock)

    store = built(1)
    kept.commit()
    store.start()
    try:
        await store.add("a", "sealed", 60, [])
        assert built(2) is store
        kept.abandon()
        with pytest.raises(DependencyDown, match="no room"):
            await store.add("b", "sealed", 60, [])
        assert (built(2), kept.commit()) == (store, [])
        store.start()
        await store.add("b", "sealed", 60, [])
        assert (built(1), kept.commit()) == (store, [])
        store.start()
        assert [await store.get(name) for name in "ab"] == [Stored(1, "sealed")] * 2
        with pytest.raises(DependencyDown, match="no room"):
            await store.add("c", "sealed", 60, [])
    finally:
        await store.close()
