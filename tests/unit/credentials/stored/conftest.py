"""Both databases, as the room that keeps them tests them."""

from tests.unit.store.sql.conftest import database, standing

__all__ = ["database", "standing"]
