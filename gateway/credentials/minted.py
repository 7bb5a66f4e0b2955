"""A minted token in an outbound request: the injector of every credential that is made from another one."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from gateway.config.values import SecretRef
from gateway.core.decision import Permit
from gateway.core.errors import DependencyDown
from gateway.core.message import Outbound
from gateway.core.ports import SecretSource
from gateway.credentials.token import Token, Wanted
from gateway.credentials.tokens import Tokens


class Recipe(Protocol):
    """Which token a request needs, and how it is minted. One kind of credential a file."""

    def __call__(self, outbound: Outbound, permit: Permit) -> Wanted:
        """Raises Ungranted where there can be none for whoever asks, or for what is asked."""
        ...


class Revocable(Protocol):
    """A secret that can be taken back. `taken_back` is how often it was."""

    name: str
    taken_back: int

    @property
    def revoked(self) -> bool: ...


class MadeOf:
    """What a credential is minted from, as far as it can be taken back. What was minted before is then of no use here any more."""

    def __init__(self, secrets: Callable[[SecretRef], SecretSource]) -> None:
        self._secrets = secrets
        self._revocable: list[Revocable] = []

    def __call__(self, reference: SecretRef) -> SecretSource:
        """A source, and it is remembered. Raises ValueError."""
        source: Any = self._secrets(reference)
        if getattr(source, "revoked", None) is not None:
            self._revocable.append(source)
        given: SecretSource = source
        return given

    def stand(self) -> int:
        """How often one was taken back so far: what was minted before the last time counts no more, also where there is another
        secret by now. Raises DependencyDown where one is revoked."""
        times = 0
        for source in self._revocable:
            if source.revoked:
                raise DependencyDown(f"{source.name}: revoked")
            times += source.taken_back
        return times


class MintedInjector:
    """Sets Authorization to a token that is minted when it is needed and shared until it ends."""

    def __init__(self, name: str, tokens: Tokens, recipe: Recipe, made_of: MadeOf) -> None:
        self.name: str | None = name
        self._stand = made_of.stand
        self.sets: frozenset[bytes] = frozenset((b"authorization",))
        self._tokens = tokens
        self._recipe = recipe

    def inject(self, outbound: Outbound, permit: Permit) -> Awaitable[str | None] | None:
        self._tokens.since(self._stand())
        wanted = self._recipe(outbound, permit)
        token = self._tokens.ready(wanted)
        if token is None:
            return self._later(outbound, wanted)
        place(outbound, token)
        return None

    async def renew(self, outbound: Outbound, permit: Permit) -> bool:
        """Whether `outbound`, which went out with a token of ours and was refused, has got another one now."""
        times = self._stand()
        self._tokens.since(times)
        found = await self._tokens.renewed(self._recipe(outbound, permit), outbound.lines)
        if found is None or self._stand() != times:
            return False
        refused, token = found
        outbound.lines.remove(refused)
        place(outbound, token)
        return True

    async def _later(self, outbound: Outbound, wanted: Wanted) -> str | None:
        place(outbound, await lasting(self._tokens, wanted, self._stand))
        return self.name


async def lasting(tokens: Tokens, wanted: Wanted, stand: Callable[[], int]) -> Token:
    """A token, waited for, of secrets that were not taken back meanwhile. Raises DependencyDown where one was, and as `get`."""
    times = stand()
    tokens.since(times)
    token = await tokens.get(wanted)
    if stand() != times:
        raise DependencyDown(f"{tokens.name}: what its token was minted from was taken back meanwhile")
    return token


def place(outbound: Outbound, token: Token) -> None:
    """Add a token, and tell what an upstream might echo of it."""
    outbound.lines.append(token.line)
    outbound.secrets += token.echoes
