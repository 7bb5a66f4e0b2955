"""The gateway's own token service in process: its configuration as plain data, a clock that moves when told, every secret by name."""

import base64
import json
from typing import Any, final
from urllib.parse import quote_plus, urlencode

import pytest

from gateway.authn.api_keys import KeyRing
from gateway.authn.authentication import Authentication
from gateway.authn.gate import Gate
from gateway.authn.key_entry import KeyEntry, new_entry
from gateway.authn.own.verifier import Own
from gateway.authn.strength import StrongSecret
from gateway.core.errors import GatewayError
from gateway.core.exchange import Exchange
from gateway.core.message import Request
from gateway.core.ports import Grant, Once
from gateway.core.principal import Principal
from gateway.edge.problem import render
from gateway.issuing import Issuing
from gateway.kept import Kept
from gateway.portal.token import TokenPortal
from gateway.settings import Settings
from gateway.store.once import MemoryOnce
from tests.fakes import CountingMetrics, HeldBody
from tests.issuer import NOW, FixedSecret, FrozenClock, ScriptedFetch, bearer, grant, request

ISSUER = "https://gw.example.com"
API = "https://api.example.com"
MASTER = b"k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u-master"
SECRETS = {
    "MASTER": MASTER,
    "OLD_MASTER": MASTER[::-1],
    "REPORTS": b"reports-7hGaE1uk3Jw9vQzP0sLx7TnB2mYc5Rd",
    "REPORTS_NEXT": b"reports-next-E1uk3Jw9vQzP0sLx7TnB2mYc5R",
    "AGENT": b"agent-sLx7TnB2mYc5RdF8hGaE1uk3Jw9vQzP0",
    "PEPPER": b"pepper-0123456789abcdefghijklmnopqrstuv",
}
API_KEYS = {"file": "api-keys.yaml", "pepper": {"env": "PEPPER"}}
REPORTS = {"secret": {"env": "REPORTS"}, "grants": ["client_credentials"], "scopes": ["reports:read", "reports:write"]}
AGENT = {"secret": {"env": "AGENT"}, "grants": ["token_exchange"]}


@final
class HeldKeys(KeyRing):
    """API keys that the test made."""

    def __init__(self, clock: FrozenClock) -> None:
        super().__init__("lgk", StrongSecret(FixedSecret(SECRETS["PEPPER"])), clock)
        self.entries: list[KeyEntry] = []

    def create(self, **more: Any) -> str:
        """A key for `ci`."""
        key, entry = new_entry(SECRETS["PEPPER"], **{"prefix": "lgk", "name": "ci", "now": NOW, **more})
        self.entries.append(entry)
        self.take(self.entries)
        return key

    async def look(self) -> None:
        """Nothing changes unseen."""

    def start(self) -> None:
        """Nothing to follow."""

    async def close(self) -> None:
        """Nothing to let go of."""

    def status(self) -> dict[str, Any]:
        return {}


class TokenHouse:
    """One replica. What is shared among several is given: `once`, `stores`."""

    def __init__(
        self,
        *,
        clients: dict[str, Any] | None = None,
        authentication: dict[str, Any] | None = None,
        fetch: ScriptedFetch | None = None,
        clock: FrozenClock | None = None,
        with_keys: bool = False,
        once: Once | None = None,
        grant: Grant = grant,
        **tokens: Any,
    ) -> None:
        self.clock, self.metrics, self.told = clock or FrozenClock(), CountingMetrics(), list[tuple[str, dict[str, Any]]]()
        self.proved = list[tuple[str, str]]()
        self.secrets = {name: FixedSecret(value, name) for name, value in SECRETS.items()}
        self.grant = grant
        self.settings = Settings.model_validate(
            {
                "version": 1,
                "tokens": {"issuer": ISSUER, "key": {"env": "MASTER"}, "audience": API} | tokens,
                "clients": {"reports": REPORTS, "agent": AGENT} if clients is None else clients,
                "authentication": (authentication or {}) | ({"api_keys": API_KEYS} if with_keys else {}),
            }
        )
        self.keys = HeldKeys(self.clock) if with_keys else None
        of = Issuing(self.settings, self._secret, Kept(), self.clock, self.metrics)
        own = of.own()
        assert own is not None
        self.own: Own = own
        fetch, once = fetch or ScriptedFetch(), once or MemoryOnce(self.clock, self.metrics)
        self.authentication = Authentication(
            self.settings.authentication, fetch, self.clock, self.metrics, self._secret, once, keys=self.keys, own=own
        )
        service = of.service(self.authentication, fetch, once, self._tell, self._noted)
        assert service is not None
        self.portal = TokenPortal(service)

    def _secret(self, reference: Any) -> FixedSecret:
        return self.secrets[reference.env]

    def _noted(self, client: str, about: str) -> None:
        self.proved.append((client, about))

    def _tell(self, name: str, /, **fields: Any) -> None:
        self.told.append((name, fields))

    def gate(self, *require: str, pinned: str | None = None, accepted: tuple[str, ...] = ("tokens",)) -> Gate:
        return self.authentication.gate(accepted, anonymous=False, grant=self.grant, require=require, pinned=pinned)

    async def who(self, token: str, *fields: tuple[bytes, bytes], gate: Gate | None = None, **more: Any) -> Principal:
        """Whom a route knows by a token."""
        return await (gate or self.gate()).authenticate(request(bearer(token), *fields, **more))

    def request(self, form: dict[str, Any] | list[tuple[str, str]] | bytes, *fields: tuple[bytes, bytes], **more: Any) -> Request:
        made = request(
            (b"content-type", b"application/x-www-form-urlencoded"),
            *fields,
            method="POST",
            path="/.gateway/token",
            host="gw.example.com",
            **more,
        )
        raw = form if isinstance(form, bytes) else urlencode(form, doseq=True).encode()
        made.body = HeldBody(raw)
        return made

    def exchange(self) -> Exchange:
        return Exchange("id", 0.0, self.clock.now(), "g", "main", "POST", "192.0.2.1")

    async def ask(self, form: dict[str, Any] | list[tuple[str, str]] | bytes, *fields: tuple[bytes, bytes], **more: Any) -> Any:
        """The members of the answer to a form."""
        asked = self.request(form, *fields, **more)
        response = await self.portal.token(asked, self.exchange())
        assert (response.status, dict(response.headers)[b"cache-control"]) == (200, b"no-store")
        return json.loads(response.body)

    async def refused(self, form: dict[str, Any] | list[tuple[str, str]] | bytes, *fields: tuple[bytes, bytes], **more: Any) -> Any:
        """What is told instead: status, code and error."""
        with pytest.raises(GatewayError) as caught:
            await self.ask(form, *fields, **more)
        answer = render(caught.value, request_id="id", now=NOW)
        self.error = caught.value
        return answer.status, json.loads(answer.body)["error"]

    async def token(self, client: str = "reports", key: str = "REPORTS", **form: Any) -> str:
        """A client's own token."""
        found: str = (await self.ask({"grant_type": "client_credentials", **form}, basic(client, key)))["access_token"]
        return found

    async def exchanged(self, token: str, client: str = "agent", key: str = "AGENT", **form: Any) -> Any:
        """What an agent gets for a token."""
        return await self.ask(exchange(token, **form), basic(client, key))


def exchange(token: str, **more: Any) -> dict[str, Any]:
    """The form of an exchange (RFC 8693 2.1)."""
    return {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    } | more


def basic(client: str, secret: str) -> tuple[bytes, bytes]:
    """A client's secret by name, or as it is."""
    value = SECRETS.get(secret, secret.encode()).decode()
    return b"authorization", b"Basic " + base64.b64encode(f"{quote_plus(client)}:{quote_plus(value)}".encode())


def stated(token: str) -> dict[str, Any]:
    """What a token says to whoever reads it."""
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found
