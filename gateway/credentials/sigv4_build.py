"""What is configured of AWS keys -> the injector that signs with them."""

from collections.abc import Callable

from gateway.config.values import SecretRef
from gateway.core.ports import SecretSource
from gateway.credentials import model
from gateway.credentials.cloud.aws_keys import configured
from gateway.credentials.sigv4_injector import ONCE, SigV4Injector
from gateway.credentials.sigv4_keys import KeySource


def build(
    name: str, credential: model.SigV4, secrets: Callable[[SecretRef], SecretSource], now: Callable[[], float]
) -> SigV4Injector:
    """Raises ValueError for keys that are missing or said twice, and for what the service does not know."""
    return signer(name, credential, configured(credential, secrets), now)


def signer(name: str, credential: model.SigV4, keys: KeySource, now: Callable[[], float]) -> SigV4Injector:
    """Raises ValueError for what the service does not know."""
    if credential.unsigned_payload and credential.service not in ONCE:
        raise ValueError("`unsigned_payload` is for Amazon S3 only: raise `buffer` instead")
    return SigV4Injector(
        name,
        keys,
        region=credential.region,
        service=credential.service,
        buffer=credential.buffer,
        unsigned=credential.unsigned_payload,
        now=now,
    )
