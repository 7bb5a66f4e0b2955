"""Telling running gateways that a command changed the database, where they share a Redis."""

import sys

from gateway.settings import Loaded
from gateway.store.model import reached


async def rung(loaded: Loaded) -> None:
    """Ring. Where that cannot be done they find out by themselves within a second, so it is a remark and no failure."""
    store = loaded.settings.bell() if loaded.settings is not None else None
    if store is None:
        return
    from gateway.store.redis_bell import ring
    from gateway.store.resp import StoreError
    from gateway.store.server import Server

    try:
        await ring(Server(**reached(store, loaded.secrets)))
    except (StoreError, ValueError) as error:
        print(f"gateways were not told at once ({error}): they notice within a second", file=sys.stderr)
