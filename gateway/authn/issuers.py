"""Each configured token issuer's keys: a shared secret that is strong enough, or a published key set."""

from collections.abc import Callable
from typing import Final

from gateway.authn import key_sources
from gateway.authn.api_keys import KeyStore
from gateway.authn.jwk import SIGNATURE
from gateway.authn.jwks import PublishedKeys, SharedKeys
from gateway.authn.jwks_model import Jwks
from gateway.authn.model import ApiKeys, JwtIssuer
from gateway.authn.strength import HMAC_BYTES, SHORTEST, StrongSecret
from gateway.authn.workloads import JWT_SVID
from gateway.config.values import SecretRef
from gateway.core.errors import ConfigError, DependencyDown, Problem
from gateway.core.ports import Clock, Fetch, Metrics, SecretSource

GENERATE: Final = "generate one with: openssl rand -base64 48"

Secrets = Callable[[SecretRef], SecretSource]


def shared_keys(name: str, issuer: JwtIssuer, secrets: Secrets) -> SharedKeys:
    """The key of an issuer with a shared secret. Raises ConfigError when it is missing or weak."""
    place = f"authentication.jwt.{name}.secret"
    if issuer.secret is None:
        raise ConfigError([Problem("", 0, 0, place, "is missing")])
    shortest = max(HMAC_BYTES[algorithm] for algorithm in issuer.algorithms)
    secret = strong_secret(secrets, issuer.secret, place, shortest)
    return SharedKeys(secret, frozenset(issuer.algorithms))


def issuer_keys(
    name: str, issuer: JwtIssuer, jwks: Jwks, fetch: Fetch, clock: Clock, metrics: Metrics, secrets: Secrets
) -> PublishedKeys:
    """The key set of an issuer of tokens. Raises ConfigError as `published_keys` does."""
    use = SIGNATURE if issuer.spiffe is None else JWT_SVID
    return published_keys(f"jwt.{name}", jwks, fetch, clock, metrics, secrets, issuer=issuer.issuer, use=use)


def published_keys(
    entry: str,
    jwks: Jwks,
    fetch: Fetch,
    clock: Clock,
    metrics: Metrics,
    secrets: Secrets,
    *,
    issuer: str = "",
    use: str = SIGNATURE,
) -> PublishedKeys:
    """The key set of an entry, such as `jwt.corp`. A file is read now, what is fetched is fetched later. Raises ConfigError for a
    bad file, or for a token that the endpoint is to be shown and that is not there."""
    place = f"authentication.{entry}.jwks"
    try:
        bearer = secrets(jwks.bearer) if jwks.bearer is not None else None
    except (DependencyDown, ValueError) as error:
        raise ConfigError([Problem("", 0, 0, f"{place}.bearer", str(error))]) from error
    source = key_sources.build(issuer, jwks, fetch, bearer)
    keys = PublishedKeys(entry.partition(".")[2], source, clock, metrics, use=use)
    if isinstance(source, key_sources.FileSource):
        try:
            keys.accept(source.read(), key_sources.FILE_SECONDS)
        except (DependencyDown, ValueError) as error:
            raise ConfigError([Problem(str(jwks.file), 0, 0, f"{place}.file", str(error))]) from error
    return keys


def strong_secret(secrets: Secrets, reference: SecretRef, place: str, shortest: int) -> StrongSecret:
    """A referenced secret that is fit to be a key. Raises ConfigError naming the place in the configuration and the cure."""
    try:
        secret = StrongSecret(secrets(reference), shortest)
        weakness = secret.weakness()
    except (DependencyDown, ValueError) as error:
        raise ConfigError([Problem("", 0, 0, place, str(error))]) from error
    if weakness:
        raise ConfigError([Problem("", 0, 0, place, f"{secret.name} {weakness}", GENERATE)])
    return secret


def key_file(model: ApiKeys, clock: Clock, metrics: Metrics, secrets: Secrets) -> KeyStore:
    """The keys of a file. Raises ConfigError."""
    pepper = strong_secret(secrets, model.pepper, "authentication.api_keys.pepper", SHORTEST)
    if model.file is None:
        raise ConfigError([Problem("", 0, 0, "authenticate", "keys of a database are followed by whoever has it")])
    return KeyStore(model.file, model.prefix, pepper, clock, metrics)


def refused(message: str, key: str = "authenticate") -> ConfigError:
    """What a route accepts, or demands, and cannot be built. The builder knows the route's place."""
    return ConfigError([Problem("", 0, 0, key, message)])
