"""The files and addresses of a soak: keys, certificates, policies, and the configurations that reloads alternate between."""

import json
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from bench.process import free_port
from bench.soak.upstream import CREDENTIAL
from tests.pki import Pki

ISSUER, AUDIENCE = "https://idp.example.com/", "soak"
PEPPER = "soak-pepper-0123456789abcdef-0123456789abcdef"
ENVIRON = {"SOAK_PEPPER": PEPPER, "SOAK_CREDENTIAL": CREDENTIAL}
PRINCIPALS = 200
BANNED = "mallory"
POLICY = """
apiVersion: gateway/v1
kind: Policy
name: api
routes: ["api.*", "open.*"]
rules:
  - {name: known, allow: [GET, POST], when: "request.method in ['GET', 'POST']"}
  - {name: banned, deny: any, when: "subject.id == 'mallory'"}
"""
BROKEN = (
    "version: 1\nrouts: []\n",
    "version: 1\nlisten: [",
    "",
    '{"version": 1, "routes": [{"name": "x", "upstream": "nowhere"}]}',
)


@dataclass(slots=True)
class Site:
    """Where everything is."""

    folder: Path
    redis: str
    back: list[int] = field(default_factory=lambda: [free_port() for _ in range(3)])
    live: list[int] = field(default_factory=lambda: [free_port() for _ in range(2)])
    plain: int = field(default_factory=free_port)
    secure: int = field(default_factory=free_port)
    balanced: int = field(default_factory=free_port)
    """Where every connection begins with a PROXY header, as a load balancer writes it."""
    admin: int = field(default_factory=free_port)
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def audit(self) -> Path:
        return self.folder / "audit.jsonl"

    @property
    def keys(self) -> Path:
        return self.folder / "api-keys.yaml"

    def furnish(self, seconds: int) -> None:
        """Write all files; tokens outlive the soak."""
        pki = Pki(self.folder)
        pki.ca.cert_pem.write_to_path(str(self.folder / "ca.crt"))
        pki.key.chmod(0o600)
        key = ec.generate_private_key(ec.SECP256R1())
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
        (self.folder / "jwks.json").write_text(json.dumps({"keys": [{**public, "kid": "k1", "alg": "ES256", "use": "sig"}]}))
        claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + seconds + 3600}
        for name in [BANNED, *(f"client-{number}" for number in range(PRINCIPALS))]:
            self.tokens[name] = jwt.encode({**claims, "sub": name}, key, "ES256", {"kid": "k1"})
        (self.folder / "policies").mkdir()
        (self.folder / "policies" / "api.yaml").write_text(POLICY)
        self.keys.write_text("[]\n")
        self.keys.chmod(0o600)
        self.write("a")

    def write(self, turn: str) -> None:
        """Put a valid configuration into place; each turn's answers carry another X-Soak."""
        (self.folder / "config.yaml").write_text(json.dumps(self.document(turn), indent=1))

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / "ca.crt"))

    def document(self, turn: str) -> dict[str, Any]:
        limits = {"header_timeout": "3s", "idle_timeout": "20s", "connections": 600, "body_idle": "5s", "rate_grace": "3s"}
        tls = {"certificate": "server.crt", "key": {"file": "server.key"}}
        listeners = {
            "plain": {"address": f"127.0.0.1:{self.plain}", "limits": limits},
            "secure": {"address": f"127.0.0.1:{self.secure}", "limits": limits, "tls": tls},
            "balanced": {
                "address": f"127.0.0.1:{self.balanced}",
                "limits": limits,
                "proxy_protocol": {"from": ["127.0.0.1"]},
            },
        }
        asks = {"authenticate": ["jwt.corp", "api_keys"], "rate_limits": ["per-principal"]}
        return {
            "version": 1,
            "listeners": listeners,
            "admin": {"address": f"127.0.0.1:{self.admin}"},
            "authentication": {
                "jwt": {"corp": {"issuer": ISSUER, "audience": [AUDIENCE], "jwks": {"file": "jwks.json"}, "algorithms": ["ES256"]}},
                "api_keys": {"file": "api-keys.yaml", "pepper": {"env": "SOAK_PEPPER"}},
            },
            "policies": "policies",
            "detection": {"rules": []},  # all of it comes from one address, forged tokens too
            "rate_limits": {
                "store": {"redis": {"url": self.redis}},
                "default": ["per-address"],
                "rules": {
                    "per-address": {"key": "client.address", "limit": "100000000/minute"},
                    "per-principal": {"key": "subject", "limit": "100000000/minute"},
                    "tight": {"key": "subject", "limit": "2/10s"},
                },
            },
            "credentials": {"soak": {"inject": "bearer", "secret": {"env": "SOAK_CREDENTIAL"}}},
            "security_headers": {"X-Soak": turn},
            "upstreams": {
                "back": upstream(self.back),
                "live": upstream(self.live),
                "metered": {**upstream(self.back), "quota": {"reserve_percent": 10}},
            },
            "routes": [
                {"name": "api.items", "match": {"path": "/api/items/{token}"}, "upstream": "back", **asks},
                {
                    "name": "api.tight",
                    "match": {"path": "/api/tight/{token}"},
                    "upstream": "back",
                    **asks,
                    "rate_limits": ["tight"],
                },
                {"name": "api.metered", "match": {"path": "/api/metered/{token}"}, "upstream": "metered", **asks},
                {"name": "api.events", "match": {"path": "/api/events/{token}"}, "upstream": "live", **asks},
                {"name": "api.socket", "match": {"path": "/api/socket/{token}"}, "upstream": "live", **asks, "websocket": True},
                {"name": "open.items", "match": {"path": "/open/{token}"}, "upstream": "back", "anonymous": True},
            ],
            "audit": {"file": "audit.jsonl", "rotate": {"size": "8MiB", "keep": 200}},
            "log": {"level": "warning"},
        }


def upstream(ports: list[int]) -> dict[str, Any]:
    return {
        "targets": [f"http://127.0.0.1:{port}" for port in ports],
        "internal": True,
        "allow_plaintext": True,
        "credential": "soak",
        "timeouts": {"connect": "2s", "response": "4s", "idle": "10s"},
        "outlier_detection": {"base_ejection_time": "1s", "max_ejection_time": "3s"},
        "health_check": {"path": "/health", "interval": "1s", "timeout": "500ms", "expected_statuses": ["204"]},
        "slow_start": "2s",
    }
