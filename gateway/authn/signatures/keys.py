"""Whose signatures count: by keys that are configured, or published. The key says by which algorithm, never the message."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol, final

from gateway.authn import jwk
from gateway.authn.issuers import GENERATE, Secrets, strong_secret
from gateway.authn.jwk import Key
from gateway.authn.jwks import PublishedKeys
from gateway.authn.signatures.model import SignatureKey
from gateway.authn.strength import HMAC_BYTES, StrongSecret, weakness
from gateway.core.errors import ConfigError, DependencyDown, Problem

JWS: Final = {
    "ed25519": "EdDSA",
    "ecdsa-p256-sha256": "ES256",
    "ecdsa-p384-sha384": "ES384",
    "rsa-pss-sha512": "PS512",
    "rsa-v1_5-sha256": "RS256",
    "hmac-sha256": "HS256",
}
"""The same computations under their names in RFC 7518 and 8037 (RFC 9421 3.3). The safest comes first."""
SHORTEST: Final = HMAC_BYTES["HS256"]


class Signer(NamedTuple):
    """Who signs with a key: its subject, the algorithm, the keys of that id."""

    subject: str
    algorithm: str
    keys: tuple[Key, ...]

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether it is one of these keys' signature over the message."""
        return any(key.verifies(JWS[self.algorithm], message, signature) for key in self.keys)


class Signers(Protocol):
    """Where a verifier finds who signs."""

    async def find(self, keyid: str) -> Signer | None:
        """Raises DependencyDown where it cannot be told."""
        ...


@final
class ListedSigners:
    """Those whose keys the configuration holds."""

    def __init__(self, place: str, models: Mapping[str, SignatureKey], secrets: Secrets) -> None:
        """Raises ConfigError with every key that cannot be used."""
        self._signers: dict[str, Signer] = {}
        self._shared: dict[str, tuple[str, SharedKey]] = {}
        problems: list[Problem] = []
        for keyid, model in models.items():
            try:
                if model.secret is not None:
                    secret = strong_secret(secrets, model.secret, f"{place}.keys.{keyid}.secret", SHORTEST)
                    self._shared[keyid] = model.subject, SharedKey(secret, model.encoding)
                else:
                    self._signers[keyid] = Signer(model.subject, model.algorithm, (_public(model),))
            except ConfigError as error:
                problems += error.problems
            except (ValueError, DependencyDown) as error:
                problems.append(Problem("", 0, 0, f"{place}.keys.{keyid}", str(error)))
        if problems:
            raise ConfigError(problems)

    async def find(self, keyid: str) -> Signer | None:
        if (known := self._shared.get(keyid)) is not None:
            return Signer(known[0], "hmac-sha256", (known[1].key(),))
        return self._signers.get(keyid)


@final
class PublishedSigners:
    """Those whose keys are in a set, found by their `kid`."""

    def __init__(self, keys: PublishedKeys, algorithms: list[str], subject: str | None) -> None:
        """Without `subject` each key is a subject of its own, by its id."""
        self._keys = keys
        self._algorithms = [name for name in JWS if name in algorithms]
        self._subject = subject

    async def find(self, keyid: str) -> Signer | None:
        for algorithm in self._algorithms:
            if keys := await self._keys.find(JWS[algorithm], keyid):
                return Signer(self._subject or keyid, algorithm, keys)
        return None


@final
class SharedKey:
    """A key of `hmac-sha256`, whose file may be replaced."""

    def __init__(self, secret: StrongSecret, encoding: str) -> None:
        """Raises DependencyDown as `key` does."""
        self._secret = secret
        self._encoding = encoding
        self.key()

    def key(self) -> Key:
        """The key now. Raises DependencyDown for a secret that is gone, too weak, or not base64 where it should be."""
        value = self._secret.current()
        if self._encoding == "base64":
            try:
                value = base64.b64decode(value, validate=True)
            except binascii.Error:
                raise DependencyDown(f"{self._secret.name}: not base64, though `encoding: base64` says so") from None
            if wrong := weakness(value, SHORTEST):
                raise DependencyDown(f"{self._secret.name}: decoded, it {wrong}; {GENERATE}")
        return jwk.shared(value, frozenset({"HS256"}))


def _public(model: SignatureKey) -> Key:
    """The public key of an entry, for its algorithm only. Raises ValueError."""
    stated: dict[str, Any] = jwk.of_pem(model.pem.encode()) if model.pem is not None else model.jwk or {}
    algorithm = JWS[model.algorithm]
    if stated.get("alg", algorithm) != algorithm:
        raise ValueError(f"`alg` of the key is not {algorithm}, which {model.algorithm} is there")
    return jwk.one({**stated, "alg": algorithm})
