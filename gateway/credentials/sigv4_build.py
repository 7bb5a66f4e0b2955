"""What is configured of AWS keys -> the injector that signs with them."""

from collections.abc import Callable

from gateway.config.values import SecretRef
from gateway.core.ports import SecretSource
from gateway.credentials import model
from gateway.credentials.sigv4_injector import ONCE, SigV4Injector
from gateway.credentials.sigv4_keys import KeySource, ProcessKeys, StaticKeys, keys_of, printable


def build(
    name: str, credential: model.SigV4, secrets: Callable[[SecretRef], SecretSource], now: Callable[[], float]
) -> SigV4Injector:
    """Raises ValueError for keys that are missing or said twice, and for what the service does not know."""
    if credential.unsigned_payload and credential.service not in ONCE:
        raise ValueError("`unsigned_payload` is for Amazon S3 only: raise `buffer` instead")
    return SigV4Injector(
        name,
        _keys(credential, secrets),
        region=credential.region,
        service=credential.service,
        buffer=credential.buffer,
        unsigned=credential.unsigned_payload,
        now=now,
    )


def _keys(credential: model.SigV4, secrets: Callable[[SecretRef], SecretSource]) -> KeySource:
    id, secret, token = credential.access_key_id, credential.secret_access_key, credential.session_token
    if credential.keys is not None:
        if (id, secret, token) != (None, None, None):
            raise ValueError("`keys` stands for all of them: leave out access_key_id, secret_access_key and session_token")
        source = secrets(credential.keys)
        judged(source, keys_of)
        return ProcessKeys(source)
    if id is None or secret is None:
        raise ValueError("AWS keys are needed: access_key_id and secret_access_key, or `keys`")
    session = secrets(token) if token is not None else None
    if session is not None:
        judged(session, printable)
    return StaticKeys(id, secrets(secret), session)


def judged(source: SecretSource, judge: Callable[[bytes], object]) -> None:
    """Raises ValueError, naming where it stands, for a secret that is none of its kind."""
    try:
        judge(source.current().reveal())
    except ValueError as error:
        raise ValueError(f"{source.name}: {error}") from None
