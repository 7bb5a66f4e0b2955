"""The world around the contenders: upstreams, keys, tokens, certificates, files. Made anew for each run, in a folder that goes."""

import json
import multiprocessing
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tests.pki import Pki

PAYLOAD = json.dumps({"items": [{"id": number, "title": "x" * 20} for number in range(22)]})[:1024].ljust(1024)
"""What upstreams answer: 1 KB of JSON's kind, without a character that nginx's configuration would read."""
SIZES = {"16k": 16 * 1024, "1m": 1024 * 1024, "100m": 100 * 1024 * 1024}
ISSUER = "https://idp.example.com/"
AUDIENCE = "bench"
NEW_TOKENS = 12_000
"""More than the gateway (10,000) and Envoy (100) remember: used in turn, each is new again when its turn comes."""
CLIENTS = 50
"""Clients of the scenario in which requests vary; fewer than Envoy remembers, so that its cache helps it."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where everything is. `back` answers, `stream` takes uploads and sends events; `*_tls` is the same over TLS."""

    root: Path
    back: int
    back_tls: int
    stream: int
    redis: int
    token: str

    @property
    def jwks(self) -> Path:
        return self.root / "jwks.json"

    @property
    def certificate(self) -> Path:
        return self.root / "tls" / "server.crt"

    @property
    def key(self) -> Path:
        return self.root / "tls" / "server.key"

    @property
    def authority(self) -> Path:
        return self.root / "tls" / "ca.crt"


def furnish(root: Path, ports: Mapping[str, int]) -> Site:
    """Write keys, certificates and files beneath `root`; the upstreams are started on these ports by others."""
    root.chmod(0o755)
    (root / "tls").mkdir()
    pki = Pki(root / "tls")
    pki.ca.cert_pem.write_to_path(str(root / "tls" / "ca.crt"))
    pki.key.chmod(0o600)
    files = root / "www" / "api" / "v1" / "files"
    files.mkdir(parents=True)
    for name, size in SIZES.items():
        (files / name).write_bytes((PAYLOAD.encode() * (size // 1024))[:size])
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = root / "issuer.key"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    private.chmod(0o600)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    (root / "jwks.json").write_text(json.dumps({"keys": [{**public, "kid": "k1", "alg": "RS256", "use": "sig"}]}))
    return Site(root=root, token=tokens(root, [0])[0], **ports)


def tokens(root: Path, numbers: list[int]) -> list[str]:
    """Signed tokens, one for each number: RS256, 2048 bits, about 700 bytes."""
    key = load_pem_private_key((root / "issuer.key").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 4 * 3600, "tenant": "acme", "roles": ["reader"]}
    more = {"scope": "openid profile email", "azp": "bench-client", "groups": ["engineering", "platform"]}
    return [
        jwt.encode({**claims, **more, "sub": f"client-{number}", "jti": f"{number:032x}"}, key, "RS256", {"kid": "k1"})
        for number in numbers
    ]


def token_file(site: Site, count: int) -> Path:
    """A file of so many tokens, one a line, of as many subjects; signed on all cores, once."""
    path = site.root / f"tokens-{count}"
    if not path.exists():
        every = range(os.cpu_count() or 1)
        parts = [list(range(1, count + 1))[first :: len(every)] for first in every]
        with multiprocessing.get_context("spawn").Pool(len(parts), os.sched_setaffinity, (0, every)) as pool:
            signed = pool.starmap(tokens, [(site.root, part) for part in parts])
        path.write_text("\n".join(token for part in signed for token in part))
    return path
