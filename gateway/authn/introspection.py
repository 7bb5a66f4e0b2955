"""Opaque tokens: what their issuer says about them when it is asked (RFC 7662), remembered for a little while.

An answer counts for the token and the entry it was given about, at most `cache` seconds and never past `exp`: that is how long a
revoked token may live on. What cannot be asked is refused with 503, never let in.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, final
from urllib.parse import urlencode, urlsplit

from gateway.authn import strict_json
from gateway.authn.bound import CONFIRMATION, KEY
from gateway.authn.claims import Claims
from gateway.authn.issuers import Secrets
from gateway.authn.model import Introspection, issuer_of
from gateway.authn.recent import Recent
from gateway.core.errors import ConfigError, DependencyDown, Problem, Unauthenticated
from gateway.core.form import basic
from gateway.core.ports import Clock, Fetch, Fetched, Grant, Metrics, SecretSource
from gateway.core.principal import Identity, Principal
from gateway.core.reason import Reason

REMEMBERED: Final = 10_000
MAX_ANSWER: Final = 64 * 1024
AT_ONCE: Final = 8
"""Questions on their way: half of what the control plane may have open, whatever flood of invented tokens comes."""
WAITING: Final = 256
"""Tokens that are being asked about or wait for their turn. Beyond them nobody else waits."""
TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 2.1: b64token."""
COUNTED: Final = "gateway.introspection.answers"


class Verdict(NamedTuple):
    """What one answer came to: an identity, or why there is none. It counts until a Unix time. `genuine`: a token of the
    issuer, not for here."""

    identity: Identity | None
    until: float
    reason: Reason
    detail: str
    genuine: bool = False


@final
class Introspector:
    """One configured endpoint, and what it answered lately, by a keyed digest of the token: never shared with another entry."""

    def __init__(self, name: str, model: Introspection, secrets: Secrets, fetch: Fetch, clock: Clock, metrics: Metrics) -> None:
        self.name = name
        self._model = model
        self._secret: SecretSource = secrets(model.client.secret)
        self._fetch = fetch
        self._now = clock.now
        self._metrics = metrics
        self._claims = Claims("introspection", name, model, clock, bound=True)
        self._digest = hashlib.blake2b(key=os.urandom(32), digest_size=32)
        # Apart, so that a flood of invented tokens pushes no good one out.
        self._active: Recent[bytes, Verdict] = Recent(REMEMBERED)
        self._refused: Recent[bytes, Verdict] = Recent(REMEMBERED)
        self._flights: dict[bytes, asyncio.Task[Verdict]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    def key(self, token: bytes) -> bytes:
        """What a token is remembered by. Useless without this process's memory."""
        digest = self._digest.copy()
        digest.update(token)
        return digest.digest()

    def remembered(self, key: bytes) -> Verdict | None:
        """What was answered and still counts."""
        now = self._now()
        for verdicts in (self._active, self._refused):
            known = verdicts.get(key)
            if known is not None and known.until > now:
                return known
        return None

    async def ask(self, token: bytes, key: bytes) -> Verdict:
        """What the issuer says, asked once for all who wait for it. Raises Unauthenticated for what is no token, DependencyDown."""
        if len(token) > self._model.max_bytes or not TOKEN.fullmatch(token):
            raise Unauthenticated(f"introspection {self.name}: not a token")
        known = self.remembered(key)
        if known is not None:
            return known
        flight = self._flights.get(key)
        if flight is None:
            if len(self._flights) >= WAITING:
                raise DependencyDown(f"introspection {self.name}: too many tokens wait to be asked about")
            flight = self._flights[key] = asyncio.create_task(self._fly(token, key), name="introspection")
        verdict = await asyncio.shield(flight)  # whoever asked first may leave: the others wait on
        if verdict.reason is Reason.DEPENDENCY_DOWN:
            raise DependencyDown(verdict.detail)
        return verdict

    def is_past(self, moment: float | None) -> bool:
        """Whether a Unix time has come."""
        return moment is not None and moment <= self._now()

    async def close(self) -> None:
        """Wait for what is on its way, at most `timeout`: requests of the configuration before may wait for it."""
        await asyncio.gather(*self._flights.values(), return_exceptions=True)

    async def _fly(self, token: bytes, key: bytes) -> Verdict:
        try:
            verdict = self._judged(await self._answer(token), key)
        except DependencyDown as error:
            self._metrics.count(COUNTED, issuer=self.name, outcome="failed")
            return Verdict(None, 0.0, error.reason, f"introspection {self.name}: {error.detail}")
        finally:
            del self._flights[key]
        active = verdict.identity is not None
        self._metrics.count(COUNTED, issuer=self.name, outcome="active" if active else "refused")
        self._active.drop(key)
        (self._active if active else self._refused).put(key, verdict)
        return verdict

    async def _answer(self, token: bytes) -> Mapping[str, Any]:
        """RFC 7662 2.2. Raises DependencyDown for everything that is not one."""
        try:
            async with asyncio.timeout(self._model.timeout), self._turns:
                answer = await self._post(token)
        except TimeoutError:
            raise DependencyDown("no answer in time") from None
        if answer.status != 200:
            raise DependencyDown(f"{urlsplit(self._model.url).netloc} answered {answer.status}")
        try:
            found = strict_json.loads(answer.body)
        except ValueError as error:
            raise DependencyDown("the answer is not acceptable JSON") from error
        if not isinstance(found, dict) or not isinstance(found.get("active"), bool):
            raise DependencyDown("the answer does not say whether the token is active")
        return found

    async def _post(self, token: bytes) -> Fetched:
        model, client = self._model, self._model.client
        form, headers = {"token": token.decode("ascii"), "token_type_hint": "access_token"}, {}
        try:
            secret = self._secret.current().reveal().decode("utf-8")
        except UnicodeDecodeError:
            raise DependencyDown(f"{self._secret.name}: the secret is not UTF-8") from None
        if client.auth == "client_secret_basic":
            headers["authorization"] = basic(client.id, secret)
        else:
            form |= {"client_id": client.id, "client_secret": secret}
        return await self._fetch.post(
            model.url,
            body=urlencode(form).encode("ascii"),
            content_type="application/x-www-form-urlencoded",
            headers=headers,
            limit=MAX_ANSWER,
            timeout=model.timeout,
            allow_plaintext=model.allow_plaintext,
            allow_private=model.allow_private,
            ca=str(model.ca) if model.ca is not None else None,
        )

    def _judged(self, answer: Mapping[str, Any], key: bytes) -> Verdict:
        now = self._now()
        try:
            identity = self._identity(answer, key)
        except Unauthenticated as error:
            return Verdict(None, now + self._model.negative_cache, error.reason, error.detail, error.genuine)
        until = now + self._model.cache
        if identity.expires is not None:
            until = min(until, identity.expires)
        return Verdict(identity, until, Reason.CREDENTIAL_INVALID, "")

    def _identity(self, answer: Mapping[str, Any], key: bytes) -> Identity:
        """Raises Unauthenticated for an answer that is not about an access token that is good here."""
        refused = self._claims.refused
        if answer["active"] is not True:
            raise refused("not active")
        if not strict_json.is_clean(answer):
            raise refused("control characters")
        # A refresh token is active, too (RFC 7662 4): servers tell the type of access tokens, and some what a token is used as.
        kind, used = answer.get("token_type", "Bearer"), answer.get("token_use", "access_token")
        if not isinstance(kind, str) or kind.lower() not in {"bearer", "dpop"} or used not in {"access_token", "access"}:
            raise refused("not an access token")
        self._claims.check(answer)
        if kind.lower() == "dpop" and KEY not in answer.get(CONFIRMATION, ()):
            raise refused("a DPoP token that names no key")
        jti = answer.get("jti")
        known = isinstance(jti, str) and 0 < len(jti) <= 256
        return self._claims.identity(answer, str(jti) if known else "fp:" + key[:12].hex())


@final
class Opaque:
    """Opaque tokens turned into principals under one policy."""

    def __init__(self, introspector: Introspector, grant: Grant) -> None:
        self._introspector = introspector
        self._grant = grant
        self._principals: Recent[bytes, tuple[Verdict, Principal]] = Recent(REMEMBERED)

    async def authenticate(self, raw: bytes) -> Principal:
        """Who presents this token. Raises Unauthenticated or DependencyDown."""
        key = self._introspector.key(raw)
        verdict = self._introspector.remembered(key) or await self._introspector.ask(raw, key)
        if verdict.identity is None:
            raise Unauthenticated(verdict.detail, reason=verdict.reason, genuine=verdict.genuine)
        known = self._principals.get(key)
        if known is not None and known[0] is verdict and not self._introspector.is_past(known[1].expires):
            return known[1]
        principal = self._grant(verdict.identity)
        self._principals.put(key, (verdict, principal))
        return principal


def introspectors(
    models: Mapping[str, Introspection], secrets: Secrets, fetch: Fetch, clock: Clock, metrics: Metrics
) -> dict[str, Introspector]:
    return {name: Introspector(name, model, secrets, fetch, clock, metrics) for name, model in models.items()}


def opaque(asked: Mapping[str, Introspector], accepted: Sequence[str], grant: Grant) -> Opaque | None:
    """What decides opaque tokens: they do not say whose they are, so that one issuer is asked, never one after the other.

    Raises ConfigError where `accepted` names two.
    """
    names = [name for name in accepted if name.startswith("introspection.")]
    if len(names) > 1:
        raise ConfigError([Problem("", 0, 0, "authenticate", f"accepts opaque tokens of two issuers: {', '.join(names)}")])
    return Opaque(asked[issuer_of(names[0])], grant) if names else None
