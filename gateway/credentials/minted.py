"""A minted token in an outbound request: the injector of every credential that is made from another one."""

from collections.abc import Awaitable
from typing import Protocol

from gateway.core.decision import Permit
from gateway.core.message import Outbound
from gateway.credentials.token import Token, Wanted
from gateway.credentials.tokens import Tokens


class Recipe(Protocol):
    """Which token a request needs, and how it is minted. One kind of credential a file."""

    def __call__(self, outbound: Outbound, permit: Permit) -> Wanted:
        """Raises Ungranted where there can be none for whoever asks, or for what is asked."""
        ...


class MintedInjector:
    """Sets Authorization to a token that is minted when it is needed and shared until it ends."""

    def __init__(self, name: str, tokens: Tokens, recipe: Recipe) -> None:
        self.name: str | None = name
        self.sets: frozenset[bytes] = frozenset((b"authorization",))
        self._tokens = tokens
        self._recipe = recipe

    def inject(self, outbound: Outbound, permit: Permit) -> Awaitable[str | None] | None:
        wanted = self._recipe(outbound, permit)
        token = self._tokens.ready(wanted)
        if token is None:
            return self._later(outbound, wanted)
        place(outbound, token)
        return None

    async def renew(self, outbound: Outbound, permit: Permit) -> bool:
        """Whether `outbound`, which went out with a token of ours and was refused, has got another one now."""
        found = await self._tokens.renewed(self._recipe(outbound, permit), outbound.lines)
        if found is None:
            return False
        refused, token = found
        outbound.lines.remove(refused)
        place(outbound, token)
        return True

    async def _later(self, outbound: Outbound, wanted: Wanted) -> str | None:
        place(outbound, await self._tokens.get(wanted))
        return self.name


def place(outbound: Outbound, token: Token) -> None:
    """Add a token, and tell what an upstream might echo of it."""
    outbound.lines.append(token.line)
    outbound.secrets += token.echoes
