"""Signs requests for AWS with the temporary keys of a role, which are asked for ahead of time and by one request for all."""

from collections.abc import Awaitable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import orjson

from gateway.core.decision import Permit
from gateway.core.errors import DependencyDown
from gateway.core.message import Outbound
from gateway.core.ports import Clock, Fetch
from gateway.credentials.cloud.aws_keys import taken_on
from gateway.credentials.cloud.model import AssumeRole
from gateway.credentials.cloud.sts import Role
from gateway.credentials.minted import MadeOf, lasting
from gateway.credentials.model import SigV4
from gateway.credentials.sigv4_build import signer
from gateway.credentials.sigv4_injector import SigV4Injector
from gateway.credentials.sigv4_keys import AwsKeys, keys_of
from gateway.credentials.token import Fresh, Token, Wanted
from gateway.credentials.tokens import Tokens
from gateway.credentials.workshop import Workshop


class RoleKeys:
    """The keys of a role that are in use. Implements `sigv4_keys.KeySource`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._token: Token | None = None
        self._keys: AwsKeys | None = None

    def hold(self, token: Token, value: bytes) -> None:
        """From now on these; they are read once."""
        if token is not self._token:
            self._keys, self._token = keys_of(value), token

    def current(self, now: float) -> AwsKeys:
        keys = self._keys
        if keys is None or (keys.expires is not None and keys.expires <= now):
            raise DependencyDown(f"{self._name}: the role's keys have ended")
        return keys


class AssumedInjector:
    """Signs with a role's keys. Nothing goes out unsigned: without keys the request is refused."""

    def __init__(self, name: str, tokens: Tokens, wanted: Wanted, keys: RoleKeys, signs: SigV4Injector, made_of: MadeOf) -> None:
        self.name: str | None = name
        self.sets: frozenset[bytes] = signs.sets
        self.once = True
        self._tokens = tokens
        self._wanted = wanted
        self._keys = keys
        self._signs = signs
        self._stand = made_of.stand

    def inject(self, outbound: Outbound, permit: Permit) -> Awaitable[str | None] | None:
        self._tokens.since(self._stand())
        token = self._tokens.ready(self._wanted)
        return self._later(outbound, permit) if token is None else self._signed(token, outbound, permit)

    async def _later(self, outbound: Outbound, permit: Permit) -> str | None:
        rest = self._signed(await lasting(self._tokens, self._wanted, self._stand), outbound, permit)
        if rest is not None:
            await rest
        return self.name

    def _signed(self, token: Token, outbound: Outbound, permit: Permit) -> Awaitable[None] | None:
        self._keys.hold(token, token.line.partition(b": ")[2].rstrip())
        return self._signs.inject(outbound, permit)


def assumed(name: str, credential: SigV4, role: AssumeRole, workshop: Workshop) -> AssumedInjector:
    """The injector of a role. Raises ValueError where what it is asked for with cannot be had or used."""
    clock, made_of = workshop.clock, MadeOf(workshop.secrets)
    asked = taken_on(credential, role, credential.region, made_of, clock.now)
    keys = RoleKeys(name)
    tokens = workshop.tokens(name, credential, urlsplit(asked.place.url).netloc)
    wanted = Wanted("", Minting(asked, workshop.fetch, clock), form=bytes)
    return AssumedInjector(name, tokens, wanted, keys, signer(name, credential, keys, clock.now), made_of)


class Minting:
    """A role's keys as what `Tokens` keeps: the document that AWS tools write, and how long it is good."""

    def __init__(self, role: Role, fetch: Fetch, clock: Clock) -> None:
        self._role = role
        self._fetch = fetch
        self._clock = clock

    async def __call__(self) -> Fresh:
        keys = await self._role(self._fetch)
        ends = keys.expires or 0.0
        document = {
            "AccessKeyId": keys.id.decode("ascii"),
            "SecretAccessKey": keys.secret.reveal().decode("ascii"),
            "SessionToken": keys.token.decode("ascii"),
            "Expiration": datetime.fromtimestamp(ends, UTC).isoformat(),
        }
        return Fresh(orjson.dumps(document), ends - self._clock.now())
