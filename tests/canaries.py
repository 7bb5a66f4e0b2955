"""Every kind of credential with secrets that are unmistakable, in a request or in a configuration: `KINDS` is all there are.

Everything secret that such a request carries is CANARY, in some form, or what the kind makes of it; everything else that is secret
begins with HIDDEN, or is a private key, and is in no request at all.
"""

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import TypeAdapter

from gateway.core.decision import AccessRequest, Permit
from gateway.core.message import Outbound
from gateway.core.ports import Fetched, Injector
from gateway.core.secret import Secret
from gateway.credentials.captured import keys, placeholder
from gateway.credentials.grants.grant import Grant
from gateway.credentials.grants.held import Held
from gateway.credentials.grants.refresh import Pair, Refresher
from gateway.credentials.injectors import build, planned
from gateway.credentials.model import Credential
from gateway.credentials.vault.keys import LocalKey
from gateway.credentials.vault.ring import Ring
from gateway.store.sql.leases import Lease
from tests.aws import sign
from tests.fakes import CountingMetrics
from tests.granting import KEY
from tests.issuer import NOW, FixedSecret, FrozenClock, Posted, RsaKey, ScriptedFetch, mint
from tests.minting import Told, workshop
from tests.scripted import fields_of, outbound, principal, request

CANARY = "canary+0/9zA_b-C=d~7.e"
ANOTHER = "another+1/8yB_c-D=e~6.f"
"""What the second mint gives, and the second refresh."""
HIDDEN = "hidden-"
URL = "https://mint.test"
SENT_IN = "X-Upstream-Authorization"


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


IDENTITY = mint(RsaKey(), {"iss": "https://k8s", "sub": "gw", "exp": int(NOW) + 10**8})
RSA = pem(rsa.generate_private_key(65537, 2048))
GOOGLE = {"type": "service_account", "client_email": "gw@p.iam.gserviceaccount.com", "private_key_id": "k1", "private_key": RSA}
SECRETS = {
    "CANARY": CANARY,
    "CLIENT_SECRET": f"{HIDDEN}client-secret",
    "REFRESH": f"{HIDDEN}refresh-token",
    "AWS_SECRET": f"{HIDDEN}aws-secret-access-key",
    "HMAC_KEY": f"{HIDDEN}key-of-thirty-two-bytes-or-so",
    "RSA_KEY": RSA,
    "EC_KEY": pem(ec.generate_private_key(ec.SECP256R1())),
    "GOOGLE_KEY": json.dumps(GOOGLE),
    "IDENTITY": IDENTITY,
}
"""By the variables they come from."""
BURIED = {value.encode() for name, value in SECRETS.items() if value.startswith(HIDDEN)} | {
    line.encode() for name in ("RSA_KEY", "EC_KEY") for line in SECRETS[name].splitlines()[1:-1]
}
"""What no upstream and no client ever sees."""


def secret(name: str) -> dict[str, str]:
    return {"env": name}


def credentials(url: str = URL, **dial: Any) -> dict[str, dict[str, Any]]:
    """One credential of each kind, by kind; tokens are minted at `url`, which is dialled so."""
    client = {"id": "gw", "secret": secret("CLIENT_SECRET")}
    oauth: dict[str, Any] = {"token_url": f"{url}/token", "client": client, "dial": dial}
    federated: dict[str, Any] = {"token": secret("IDENTITY"), "token_url": f"{url}/token", "dial": dial}
    google = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k"
    ids = {
        "federation_rule_id": "fdrl_1",
        "organization_id": "0" * 8 + "-0000" * 3 + "-" + "0" * 12,
        "service_account_id": "svac_1",
    }
    return {
        "bearer": {"secret": secret("CANARY")},
        "basic": {"username": "bot", "password": secret("CANARY")},
        "header": {"name": "X-Key", "secret": secret("CANARY")},
        "query": {"name": "key", "secret": secret("CANARY")},
        "cookie": {"name": "sid", "secret": secret("CANARY")},
        "sigv4": {
            "region": "eu-west-1",
            "service": "execute-api",
            "access_key_id": "AKIDEXAMPLE",
            "secret_access_key": secret("AWS_SECRET"),
            "session_token": secret("CANARY"),
        },
        "hmac": {"secret": secret("HMAC_KEY"), "content": "{method}{target}{timestamp}", "headers": {"X-Signature": "{signature}"}},
        "signed_jwt": {"issuer": "https://gateway.test", "audience": "https://orders.internal", "keys": [secret("EC_KEY")]},
        "grant": {"provider": "tracker"},
        "captured": {"sent_in": SENT_IN},
        "captured_keys": {"regions": ["eu-west-1"], "services": ["execute-api"]},
        "client_credentials": oauth,
        "refresh_token": {**oauth, "refresh_token": secret("REFRESH")},
        "jwt_bearer": {
            "token_url": f"{url}/token",
            "dial": dial,
            "issuer": "gw",
            "subject": "gw",
            "private_key": secret("RSA_KEY"),
        },
        "token_exchange": oauth,
        "github_app": {
            "app_id": "Iv23liExample",
            "installation_id": 1,
            "private_key": secret("RSA_KEY"),
            "account": "acme",
            "permissions": {"contents": "read"},
            "everywhere": True,
            "api": url,
            "dial": dial,
        },
        "google_service_account": {"key": secret("GOOGLE_KEY"), "scope": ["a"], "token_url": f"{url}/token", "dial": dial},
        "google_federation": {
            "provider": google,
            "token": secret("IDENTITY"),
            "scope": ["a"],
            "service_account": "gw@p.iam.gserviceaccount.com",
            "sts_url": f"{url}/token/federated",
            "iam_url": f"{url}/v1",
            "dial": dial,
        },
        "azure": {
            "tenant": "contoso.example",
            "client_id": "11-22",
            "scope": "api://x/.default",
            "secret": secret("CLIENT_SECRET"),
            "authority": url,
            "dial": dial,
        },
        "openai": {**federated, "identity_provider_id": "idp_1", "service_account_id": "sa_1"},
        "anthropic": {**federated, **ids},
        "projected_token": {"token": secret("IDENTITY")},
    }


KINDS = tuple(credentials())
ASKING = tuple(kind for kind, told in credentials().items() if "dial" in told)
"""Kinds whose token a token endpoint gives."""
ONCE = frozenset(("sigv4", "captured_keys", "hmac"))
"""Kinds whose signatures are of no use for another request: these are not looked for in other codes, such as base64."""
RENEWED = ("client_credentials", "token_exchange", "github_app", "openai", "grant")
"""Some of those whose token is replaced when an upstream refuses it; all that are minted do that alike."""


def minted(target: str, token: str = CANARY) -> dict[str, Any]:
    """What is answered at a token endpoint, by its path."""
    if target.endswith("/access_tokens"):
        return {"token": token, "expires_at": "2040-01-01T00:00:00Z", "repository_selection": "selected"}
    if target.endswith(":generateAccessToken"):
        return {"accessToken": token, "expireTime": "2040-01-01T00:00:00Z"}
    federated = f"{HIDDEN}federated-token" if target == "/token/federated" else token
    return {"access_token": federated, "token_type": "Bearer", "expires_in": 3600}


class Mint(ScriptedFetch):
    """A control plane that mints CANARY, and ANOTHER ever after; or one that answers with an error that repeats all it got."""

    def __init__(self, *, repeats: bool = False) -> None:
        super().__init__()
        self._repeats = repeats

    async def post(self, url: str, *, body: bytes, content_type: str, **more: Any) -> Fetched:
        if self._repeats:
            whole = f"{body!r} {more}"
            self.posted.append(Posted(url, body, content_type, dict(more.get("headers") or {}), more.get("identity")))
            return Fetched(400, {"x-echo": whole}, json.dumps({"error": whole, "error_description": whole}).encode())
        token = CANARY if not self.posted or "generateAccessToken" in url else ANOTHER
        self.posted.append(Posted(url, body, content_type, dict(more.get("headers") or {}), more.get("identity")))
        return Fetched(200, {}, json.dumps(minted(urlsplit(url).path, token)).encode())


class Drawer:
    """One principal's grant, which is refreshed once."""

    client = "client-1"

    def __init__(self, clock: FrozenClock) -> None:
        token, refresh = Secret(CANARY.encode()), Secret(SECRETS["REFRESH"].encode())
        ends = clock.now() + 3600
        self.grant = Grant("tracker", "corp", "alice", token, refresh, client=self.client, expires_at=ends, version=1)

    async def get(self, key: object) -> Grant | None:
        return self.grant

    async def put(self, grant: Grant) -> Grant:
        self.grant = replace(grant, version=grant.version + 1)
        return self.grant

    async def take(self, name: str, seconds: float) -> Lease | None:
        return Lease(name, "here", 1, orphaned=False)

    async def fence(self, name: str) -> int:
        return 1

    async def seize(self, name: str, seconds: float, fence: int) -> Lease | None:
        return await self.take(name, seconds)

    async def release(self, lease: Lease, *, done: bool) -> None:
        return

    async def __call__(self, refresh: Secret) -> Pair:
        return Pair(Secret(ANOTHER.encode()), refresh, 3600)


@dataclass
class Planted:
    """A request with a credential of a kind in it, and what asked for it."""

    kind: str
    outbound: Outbound
    injector: Injector
    permit: Permit
    fetch: Mint

    @property
    def values(self) -> set[bytes]:
        """Everything secret that the request says."""
        return spoken(self.kind, fields_of(self.outbound), self.outbound.target)

    async def renewed(self) -> bool:
        renew: Any = getattr(self.injector, "renew", None)
        return bool(await renew(self.outbound, self.permit))


def spoken(kind: str, fields: list[tuple[bytes, bytes]], target: bytes) -> set[bytes]:
    """Everything secret in a request that carries a credential of a kind, read off the wire."""
    said = dict(fields)
    authorization = said.get(b"authorization", b"")
    match kind:
        case "basic":
            return {CANARY.encode(), authorization.removeprefix(b"Basic ")}
        case "header":
            return {said[b"x-key"]}
        case "query":
            return {value for name, value in parse_qsl(target.partition(b"?")[2]) if name == b"key"}
        case "cookie":
            return {said[b"cookie"].rpartition(b"sid=")[2]}
        case "sigv4" | "captured_keys":
            found = re.search(rb"Signature=([0-9a-f]{64})", authorization)
            assert found is not None
            return {found[1], said[b"x-amz-security-token"]}
        case "hmac":
            return {said[b"x-signature"]}
        case _:
            scheme, _, token = authorization.partition(b" ")
            assert (scheme, token != b"") == (b"Bearer", True)
            return {token}


async def handed_out(ring: Ring, now: float) -> str:
    """The placeholder of a captured CANARY, for alice."""
    return await placeholder.sealed(ring, placeholder.place("captured", principal().key), CANARY.encode(), int(now) + 3600)


async def signed_with(ring: Ring, now: float) -> dict[str, str]:
    """What alice signs with placeholders for AWS keys: a GET of /a."""
    real = ("AKIDEXAMPLE", SECRETS["AWS_SECRET"], CANARY)
    id, hidden, token = await keys.sealed(ring, keys.place("captured_keys", principal().key), real, int(now) + 3600)
    said = {"host": "gateway.example", "x-amz-security-token": token}
    date = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    return sign("GET", "/a", said, keys=(id, hidden), date=date, scope=("eu-west-1", "execute-api"))


async def planted(kind: str, clock: FrozenClock | None = None, fetch: Mint | None = None, told: Told | None = None) -> Planted:
    """A request with a credential of this kind. Raises GatewayError where it cannot be had."""
    time, fetch = clock or FrozenClock(), fetch or Mint()
    drawer = Drawer(time)
    refresher = Refresher(drawer, drawer, drawer, time, CountingMetrics(), jitter=lambda: 0.0)
    held = Held("tracker", drawer, refresher, time, CountingMetrics(), jitter=lambda: 0.0)
    shop = workshop(lambda reference: FixedSecret(SECRETS[reference.env].encode()), fetch=fetch, clock=time, told=told)
    ring = Ring([LocalKey("k1", Secret(KEY.encode()))], time.now)
    sent = SENT_IN.lower().encode(), b"Bearer " + (await handed_out(ring, time.now())).encode()
    fields = [(b"authorization", b"Bearer " + IDENTITY.encode()), sent]
    if kind == "captured_keys":
        fields = [(name.encode(), value.encode()) for name, value in (await signed_with(ring, time.now())).items()]
    asking = AccessRequest(request(*fields), "r", "u", {}, 0.0)
    permit = Permit(principal(), asking, None)
    model = TypeAdapter[Any](Credential).validate_python({"inject": kind, **credentials()[kind]})
    injector = build(kind, model, shop._replace(grants=lambda provider: held, ring=ring))
    ready = outbound(target=b"/a?b=c")
    injector = planned([injector])
    if (coming := injector.inject(ready, permit)) is not None:
        await coming
    return Planted(kind, ready, injector, permit, fetch)
