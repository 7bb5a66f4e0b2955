"""Public keys out of a JWK set (RFC 7517), and signatures checked with them (RFC 7518). The only file that knows PyJWT.

A key carries the algorithms it may be used with, so that neither a token nor a sloppy set can pair a key with another one.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import algorithms

from gateway.authn import strict_json

MAX_KEYS: Final = 100
SIGNATURE: Final = "sig"
RSA_BITS: Final = range(2048, 8193)
"""Lower: NIST SP 800-131A. Upper: the cost of one verification stays bounded."""
RSA_EXPONENT: Final = range(65537, 2**32)
RSA_ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
CURVES: Final = {
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}
KINDS: Final[Mapping[type, Any]] = {
    rsa.RSAPublicKey: algorithms.RSAAlgorithm,
    ec.EllipticCurvePublicKey: algorithms.ECAlgorithm,
    ed25519.Ed25519PublicKey: algorithms.OKPAlgorithm,
}
VERIFIERS: Final[Mapping[str, Any]] = algorithms.get_default_algorithms()
BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

# CVE-2017-15361 (ROCA): such a modulus is a power of 65537 modulo every small prime; an honest one is so by chance once
# in 2^27 for these.
ROCA_PRIMES: Final = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
ROCA_MARKS: Final = tuple((prime, frozenset(pow(65537, power, prime) for power in range(prime))) for prime in ROCA_PRIMES)


@final
class Key:
    """One verification key: `algorithms` are the only ones it verifies."""

    __slots__ = ("algorithms", "kid", "material")

    def __init__(self, kid: str | None, algorithms: frozenset[str], material: Any) -> None:
        self.kid = kid
        self.algorithms = algorithms
        self.material = material

    def verifies(self, algorithm: str, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `message`. False, too, for an algorithm the key is not for."""
        if algorithm not in self.algorithms:
            return False
        return bool(VERIFIERS[algorithm].verify(message, self.material, signature))


def shared(secret: bytes, algorithms: frozenset[str]) -> Key:
    """The key of an issuer with a shared secret, for HS256, HS384 and HS512 only."""
    return Key(None, algorithms & {"HS256", "HS384", "HS512"}, secret)


@final
class KeySet:
    """The usable keys of one issuer; `refused` tells why others of the set were left out."""

    __slots__ = ("keys", "kids", "refused")

    def __init__(self, keys: tuple[Key, ...], refused: tuple[str, ...] = ()) -> None:
        self.keys = keys
        self.kids = frozenset(key.kid for key in keys)
        self.refused = refused

    def candidates(self, algorithm: str, kid: str | None) -> tuple[Key, ...]:
        """Keys that may verify a token: of that `kid`, or any when the token names none."""
        return tuple(key for key in self.keys if algorithm in key.algorithms and (kid is None or key.kid == kid))


def parse(raw: bytes, use: str = SIGNATURE) -> KeySet:
    """A JWK set document -> KeySet, of keys whose `use` is that; only keys of signatures may leave theirs out.

    Raises ValueError for what is no JWK set, has too many keys or none that is usable.
    """
    document = strict_json.loads(raw)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("not a JWK set: an object with a list `keys` is needed")
    if len(document["keys"]) > MAX_KEYS:
        raise ValueError(f"more than {MAX_KEYS} keys")
    keys: list[Key] = []
    refused: list[str] = []
    for position, jwk in enumerate(document["keys"]):
        try:
            keys.append(one(jwk, use))
        except ValueError as error:
            refused.append(f"key {position}: {error}")
    if not keys:
        raise ValueError("; ".join(["no usable key", *refused[:3]]))
    return KeySet(tuple(keys), tuple(refused))


def one(jwk: Any, use: str = SIGNATURE) -> Key:
    """One public key. Raises ValueError saying why it is not used."""
    if not isinstance(jwk, dict):
        raise ValueError("not an object")
    kid = jwk.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise ValueError("`kid` is not a string")
    for_verification(jwk, use)
    algorithms = _algorithms(jwk)
    material = _material(jwk)
    _strong(material)
    return Key(kid, algorithms, material)


def of_pem(raw: bytes) -> dict[str, Any]:
    """A public key in PEM as a JWK. Raises ValueError."""
    try:
        key = load_pem_public_key(raw)
    except (UnsupportedAlgorithm, ValueError) as error:
        raise ValueError("not a public key in PEM (`openssl pkey -pubout`)") from error
    kind: Any = next((kind for of, kind in KINDS.items() if isinstance(key, of)), None)
    if kind is None:
        raise ValueError("key type is not supported")
    try:
        return dict(kind.to_jwk(key, as_dict=True))
    except jwt.PyJWTError as error:
        raise ValueError("curve is not supported") from error


def for_verification(jwk: dict[str, Any], use: str = SIGNATURE) -> None:
    """RFC 7517 4.2 and 4.3: raises ValueError for a key that says it is for something else, or that is not public."""
    if jwk.get("use", SIGNATURE) != use:
        raise ValueError(f"`use` is not {use}")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise ValueError("`key_ops` has no verify")
    if jwk.get("kty") == "oct" or "k" in jwk:
        raise ValueError("a symmetric key in a published set is known to everybody")
    if "d" in jwk:
        raise ValueError("a private key in a published set is known to everybody")


def _algorithms(jwk: dict[str, Any]) -> frozenset[str]:
    """The algorithms a key may be used with: by its type and curve, narrowed by its own `alg`."""
    kty, crv, alg = jwk.get("kty"), jwk.get("crv"), jwk.get("alg")
    if not all(value is None or isinstance(value, str) for value in (kty, crv, alg)):
        raise ValueError("`kty`, `crv` or `alg` is not a string")
    possible = RSA_ALGORITHMS if kty == "RSA" else CURVES.get((kty or "", crv or ""), frozenset())
    if not possible:
        raise ValueError("key type or curve is not supported")
    if alg is not None and alg not in possible:
        raise ValueError("`alg` does not fit the key type")
    return possible if alg is None else frozenset({alg})


def _material(jwk: dict[str, Any]) -> Any:
    """The key object. The library checks that points lie on their curve."""
    for name in ("n", "e") if jwk["kty"] == "RSA" else ("x", "y") if jwk["kty"] == "EC" else ("x",):
        value = jwk.get(name)
        if not isinstance(value, str) or not BASE64URL.fullmatch(value):
            raise ValueError(f"`{name}` is not base64url")
    kind: Any = {"RSA": algorithms.RSAAlgorithm, "EC": algorithms.ECAlgorithm, "OKP": algorithms.OKPAlgorithm}[jwk["kty"]]
    try:
        return kind.from_jwk(jwk)
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError) as error:
        raise ValueError("not a valid public key") from error


def _strong(material: Any) -> None:
    """Refuse RSA keys that can be factored or forged. Curves were chosen by the table above."""
    if not hasattr(material, "public_numbers") or hasattr(material, "curve"):
        return
    numbers = material.public_numbers()
    if numbers.n.bit_length() not in RSA_BITS:
        raise ValueError(f"an RSA key has {RSA_BITS.start} to {RSA_BITS.stop - 1} bits")
    if numbers.e not in RSA_EXPONENT or numbers.e % 2 == 0:
        raise ValueError("the RSA exponent is not an odd number from 65537 to 2^32")
    if all(numbers.n % prime in marks for prime, marks in ROCA_MARKS):
        raise ValueError("the RSA key is of the ROCA kind, which can be factored")
