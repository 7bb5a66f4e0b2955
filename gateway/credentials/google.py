"""Tokens of Google: for a service account's key (JWT grant), and for another issuer's token (workload identity federation).

developers.google.com/identity/protocols/oauth2/service-account, cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
"""

import re
from datetime import datetime
from typing import Any, Final

from gateway.core.decision import Permit
from gateway.core.errors import DependencyDown
from gateway.core.message import Outbound
from gateway.core.ports import Clock, SecretSource
from gateway.core.secret import Secret
from gateway.credentials.answer import object_of, successful, token_of
from gateway.credentials.assertion import Signer
from gateway.credentials.endpoint import TokenEndpoint
from gateway.credentials.exchange import GRANT as EXCHANGE
from gateway.credentials.exchange import TYPE
from gateway.credentials.federation import identity
from gateway.credentials.jwt_bearer import GRANT
from gateway.credentials.oauth_model import GoogleFederation, GoogleServiceAccount
from gateway.credentials.token import Fresh, Wanted

LIFE: Final = 3600
EMAIL: Final = re.compile(r"[!-~]{3,320}", re.ASCII)
KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
CLOUD: Final = "https://www.googleapis.com/auth/cloud-platform"


class KeyFile:
    """A service account's key file as Google writes it. The token endpoint that it names is not believed."""

    def __init__(self, source: SecretSource) -> None:
        self.name = source.name
        self._source = source
        self._secret: Secret | None = None
        self._key = Secret(b"")
        self._read()

    @property
    def email(self) -> str:
        self._read()
        return self._email

    @property
    def id(self) -> str:
        self._read()
        return self._id

    def current(self) -> Secret:
        """The private key, PEM."""
        self._read()
        return self._key

    def _read(self) -> None:
        secret = self._source.current()
        if secret is self._secret:
            return
        members = object_of(secret.reveal()) or {}
        told = [members.get(name) for name in ("client_email", "private_key_id", "private_key")]
        email, key_id, key = (value if isinstance(value, str) else "" for value in told)
        if members.get("type") != "service_account" or not EMAIL.fullmatch(email) or not KEY_ID.fullmatch(key_id) or not key:
            raise ValueError(f"{self.name}: the JSON key file of a service account is needed")
        self._email, self._id, self._key, self._secret = email, key_id, Secret(key.encode()), secret


class ServiceAccountRecipe:
    """One token for every request."""

    def __init__(self, model: GoogleServiceAccount, endpoint: TokenEndpoint, source: SecretSource, clock: Clock) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._file = KeyFile(source)
        self._signer = self._made()
        self._said = {"scope": " ".join(model.scope), "aud": model.token_url}
        if model.subject is not None:
            self._said["sub"] = model.subject
        self._wanted = Wanted("", self.mint)

    def __call__(self, outbound: Outbound, permit: Permit) -> Wanted:
        return self._wanted

    def _made(self) -> Signer:
        self._kid = self._file.id
        return Signer(self._file, "RS256", {"kid": self._kid})

    async def mint(self) -> Fresh:
        if self._file.id != self._kid:
            self._signer = self._made()
        now = int(self._clock.now())
        claims: dict[str, Any] = {"iss": self._file.email, **self._said, "iat": now, "exp": now + LIFE}
        return await self._endpoint.ask([("grant_type", GRANT), ("assertion", self._signer(claims))])


class GoogleFederationRecipe:
    """One token for every request, of the federated identity or of the service account that it may act as."""

    def __init__(self, model: GoogleFederation, sts: TokenEndpoint, iam: TokenEndpoint, source: SecretSource, clock: Clock) -> None:
        self._model = model
        self._sts = sts
        self._iam = iam
        self._source = source
        self._clock = clock
        self._wanted = Wanted("", self.mint)

    def __call__(self, outbound: Outbound, permit: Permit) -> Wanted:
        return self._wanted

    async def mint(self) -> Fresh:
        model = self._model
        parameters = [
            ("grant_type", EXCHANGE),
            ("audience", model.provider),
            ("scope", " ".join(model.scope) if model.service_account is None else CLOUD),
            ("requested_token_type", TYPE + "access_token"),
            ("subject_token_type", TYPE + model.token_type),
            ("subject_token", identity(self._source)),
        ]
        federated = await self._sts.ask(parameters)
        return federated if model.service_account is None else await self._acting(model.service_account, federated)

    async def _acting(self, account: str, federated: Fresh) -> Fresh:
        path = f"/projects/-/serviceAccounts/{account}:generateAccessToken"
        asked = {"scope": self._model.scope, "lifetime": f"{LIFE}s"}
        proof = {"authorization": f"Bearer {federated.value.decode('ascii')}"}
        answer = await self._iam.json(asked, proof, path)
        members = successful(answer, self._iam.host)
        value = token_of(members, "accessToken", self._iam.host)
        return Fresh(value, left(members.get("expireTime"), self._clock.now(), self._iam.host))


def left(stated: object, now: float, host: str) -> float:
    """Seconds until an RFC 3339 time. Raises DependencyDown for what is none, or is past."""
    try:
        ends = datetime.fromisoformat(stated if isinstance(stated, str) else "")
    except ValueError:
        raise DependencyDown(f"{host}: the answer does not say when the token ends") from None
    if ends.tzinfo is None or ends.timestamp() <= now:
        raise DependencyDown(f"{host}: the token's end is past, or in no time zone")
    return ends.timestamp() - now
