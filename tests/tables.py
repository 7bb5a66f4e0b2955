"""Tables of secrets whose writes do not go as their writer thinks."""

from gateway.core.errors import DependencyDown
from gateway.store.sql.engine import Database
from gateway.store.sql.secrets import SecretRow, SecretRows
from tests.storing import Beside


class GoingAway(SecretRows):
    """A table that takes so many writes, and again after so many that it did not take."""

    def __init__(self, database: Database, writes: int, back_after: int = 1000) -> None:
        super().__init__(database)
        self.left = writes
        self.back_after = back_after

    async def put(self, row: SecretRow, version: int) -> SecretRow:
        self.left -= 1
        if -self.back_after <= self.left < 0:
            raise DependencyDown("database: away")
        return await super().put(row, version)


class Away(GoingAway):
    """The same, and after so many writes it is not read either."""

    async def get(self, name: str) -> SecretRow | None:
        if self.left <= 0:
            raise DependencyDown("database: away")
        return await super().get(name)


class AnswerLost(SecretRows):
    """A table that takes the secret `bot` and does not say so, and is away for so many questions after it."""

    def __init__(self, database: Database, away_for: int) -> None:
        super().__init__(database)
        self.away_for = away_for
        self.has_lost = False

    async def get(self, name: str) -> SecretRow | None:
        if self.has_lost and self.away_for > 0:
            self.away_for -= 1
            raise DependencyDown("database: away")
        return await super().get(name)

    async def put(self, row: SecretRow, version: int) -> SecretRow:
        written = await super().put(row, version)
        if row.name == "bot" and not self.has_lost:
            self.has_lost = True
            raise DependencyDown("database: away")
        return written


class Meanwhile(SecretRows):
    """A table into which an operator puts another secret just before the switch."""

    def __init__(self, beside: Beside) -> None:
        super().__init__(beside.database)
        self.beside = beside

    async def put(self, row: SecretRow, version: int) -> SecretRow:
        if row.name == "bot":
            await self.beside.put("bot", "by-hand-0123456789")
        return await super().put(row, version)
