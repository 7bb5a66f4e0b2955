"""One provider as people connect their accounts there: where a browser is sent, what a code or a token is worth, how it is ended.

Tokens go to the places of `providers.places` and nowhere else. Nothing here knows sessions, cookies or pages.
"""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final, final
from urllib.parse import urlencode

from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock, Fetched, RevokingFetch
from gateway.core.secret import Secret
from gateway.credentials.answer import MAX_BYTES, MAX_TOKEN, TOKEN, object_of
from gateway.credentials.client import Sources
from gateway.credentials.endpoint import SECONDS
from gateway.credentials.grants.ending import Ending, plain
from gateway.credentials.grants.exchange import BETWEEN, SCOPE, endpoint, given
from gateway.credentials.grants.grant import Grant, Key
from gateway.credentials.grants.kept import Kept, forget
from gateway.credentials.grants.model import Connect, Provider
from gateway.credentials.grants.providers import DEFINITIONS, Definition, places
from gateway.credentials.grants.refresh import Pair, Refused, name
from gateway.credentials.oauth_model import Client
from gateway.store.sql.grants import GrantRow, GrantRows
from gateway.store.sql.leases import Leases
from gateway.store.sql.rows import Conflict

LONGEST: Final = 128
"""Characters of an account's id and name."""
UNSHOWN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")
"""Control characters, and those that turn or hide what stands beside them."""
TRIES: Final = 4


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a token speaks for, as it is shown; `whose` is a digest of the id as it was told; `scopes` None where none were."""

    id: str
    name: str
    whose: str
    scopes: tuple[str, ...] | None = None


class OtherAccount(Exception):
    """There is a grant already, of another account, or nobody says that it is the same."""


@final
class Connecting:
    """One provider of one configuration."""

    def __init__(
        self,
        provider: str,
        model: Provider,
        kept: Kept,
        rows: GrantRows,
        leases: Leases,
        fetch: RevokingFetch,
        clock: Clock,
        secrets: Sources,
    ) -> None:
        """Raises ValueError for a client that cannot prove itself."""
        if model.client is None or model.connect is None:
            raise ValueError(f"nobody connects at '{provider}'")
        self.name = provider
        self.model = model
        self.connect: Connect = model.connect
        self.definition = DEFINITIONS[model.kind]
        self.title = self.connect.title or self.definition.title or provider
        self.places = places(model)
        self._client: Client = model.client
        self._tokens = endpoint(model, model.client, fetch, clock, secrets)
        self._ending = Ending(model, model.client, fetch, clock, secrets)
        self._kept = kept
        self._rows = rows
        self._leases = leases
        self._fetch = fetch
        self._now = clock.now

    # In the browser

    def entrance(self, redirect: str, state: str, challenge: str, scopes: Sequence[str]) -> str:
        """Where the browser is sent (RFC 6749 4.1.1, RFC 7636 4.3)."""
        asked = [
            ("response_type", "code"),
            ("client_id", self._client.id),
            ("redirect_uri", redirect),
            ("state", state),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256"),
            *self.definition.asked,
        ]
        if scopes:
            asked.append((self.definition.scope, self.definition.separator.join(scopes)))
        url = self.places.authorize
        return f"{url}{'&' if '?' in url else '?'}{urlencode(asked)}"

    def names(self, iss: str | None) -> bool:
        """Whether an answer by way of the browser may be this provider's (RFC 9207 2.4): it says so, where it is known to."""
        if self.connect.issuer is not None:
            return iss == self.connect.issuer
        return iss is None or not self.places.issuer or iss == self.places.issuer

    async def exchanged(self, code: str, verifier: str, redirect: str) -> Pair:
        """Raises Refused for a code that the provider does not take, and DependencyDown."""
        form = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirect), ("code_verifier", verifier)]
        return given(await self._tokens.form(form), self._tokens.host, self.definition)

    async def account(self, token: Secret) -> Account | None:
        """Whom a token speaks for; None where nobody is asked. Raises Refused where it is none, and DependencyDown."""
        if not self.places.account:
            return None
        answer = await self._get(self.places.account, token)
        members = object_of(answer.body)
        if answer.status in {401, 403} or (members is not None and members.get("ok") is False):
            raise Refused
        id = _first(members or {}, self.definition.id)
        if answer.status != 200 or members is None or not id:
            raise DependencyDown(f"{self.name}: the account was answered {answer.status}")
        whose = _digest(members, self.definition)
        return Account(id, _first(members, self.definition.names) or id, whose, _listed(answer.headers))

    # Kept

    async def found(self, key: Key) -> Grant | None:
        """What is kept. Raises DependencyDown, also where it does not open."""
        return await self._kept.get(key)

    async def keep(self, key: Key, pair: Pair, account: Account | None, *, personal: bool) -> tuple[Grant, bool]:
        """Store a grant in the place of what is there, and whether something was. The scopes are those that were told, never those
        asked for. Raises OtherAccount, also where nobody tells whose it is, and DependencyDown."""
        fresh = self._fresh(key, pair, account, personal=personal)
        for _ in range(TRIES):
            row = await self._rows.get(key)
            known = await self._opened(row)
            if known is not None and known.account and not (fresh.whose and fresh.whose == known.whose):
                raise OtherAccount
            try:
                stored = await self._kept.put(replace(fresh, version=row.version if row is not None else 0))
            except Conflict:
                continue
            if known is not None and known.access != stored.access and (personal or self.definition.apart):
                await self._ending.one(known)
            return stored, row is not None
        raise DependencyDown(f"grant at {self.name}: it changes all the time")

    def _fresh(self, key: Key, pair: Pair, account: Account | None, *, personal: bool) -> Grant:
        now, scopes = self._now(), pair.scopes if pair.scopes is not None else account.scopes if account and personal else None
        return Grant(
            *key,
            access=pair.access,
            refresh=pair.refresh,
            scopes=scopes or (),
            client="" if personal else self._client.id,
            created_at=now,
            expires_at=None if pair.expires_in is None else now + pair.expires_in,
            account=account.id if account is not None else "",
            name=account.name if account is not None else "",
            whose=account.whose if account is not None else "",
        )

    async def _opened(self, row: GrantRow | None) -> Grant | None:
        """None also for what does not open: that is replaced."""
        with suppress(DependencyDown):
            return await self._kept.opened(row) if row is not None else None
        return None

    async def drop(self, key: Key, pair: Pair, account: Account | None) -> None:
        """Have the provider end tokens that are not kept, unless what is kept, perhaps of the same account, would end with them."""
        if self.definition.apart or not await self._may_share(key, account):
            await self._ending.one(self._fresh(key, pair, account, personal=False))

    async def _may_share(self, key: Key, account: Account | None) -> bool:
        try:
            row = await self._rows.get(key)
        except DependencyDown:
            return True
        known = await self._opened(row)
        return row is not None and (known is None or account is None or known.whose in {"", account.whose})

    async def disconnect(self, key: Key) -> tuple[GrantRow, str] | None:
        """Forget a grant, also one that does not open, then have the provider end it: "yes", "no", or "not-offered". None where
        there is none. Raises DependencyDown where it could not be forgotten."""
        for _ in range(TRIES):
            row = await self._rows.get(key)
            grant = await self._opened(row)
            if row is None or await self._rows.delete(key, row.version):
                break  # what is ended is what was deleted, and not what a refresh replaced meanwhile
        else:
            row, grant = await forget(self._rows, key), None
        if row is None:
            return None
        with suppress(DependencyDown):  # it ends by itself
            await self._leases.forget(name(key))
        return row, await self._ending.whole(grant)

    async def _get(self, url: str, token: Secret) -> Fetched:
        dial = self.model.dial
        return await self._fetch.get(
            url,
            limit=MAX_BYTES,
            timeout=SECONDS,
            allow_plaintext=dial.allow_plaintext,
            allow_private=dial.allow_private,
            ca=str(dial.ca) if dial.ca is not None else None,
            headers={"authorization": f"Bearer {plain(token)}"},
        )


def typed(raw: str) -> Secret | None:
    """A token that somebody typed in, None for what no header field carries."""
    value = raw.strip(" \t\r\n")
    return Secret(value.encode("ascii")) if len(value) <= MAX_TOKEN and TOKEN.fullmatch(value) else None


def shown(value: object) -> str:
    """An id or a name of an account as people may be shown it: bounded, on one line, and nothing that hides or turns around."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return UNSHOWN.sub("", str(value)).strip()[:LONGEST]


def _digest(members: Mapping[str, Any], definition: Definition) -> str:
    """Of the id as it was told: what is shown of it is cut, and without what cannot be seen."""
    named = next(name for name in definition.id if shown(members.get(name)))
    return sha256(json.dumps([str(members.get(name)) for name in (named, *definition.within)]).encode()).hexdigest()


def _first(members: Mapping[str, Any], named: Sequence[str]) -> str:
    return next((value for name in named if (value := shown(members.get(name)))), "")


def _listed(headers: Mapping[str, str]) -> tuple[str, ...] | None:
    """What GitHub and Slack say that a token may do."""
    stated = headers.get("x-oauth-scopes")
    if stated is None:
        return None
    found = tuple(scope for scope in BETWEEN.split(stated[: LONGEST * 64]) if scope)
    return found if all(map(SCOPE.fullmatch, found)) else ()
