"""What is configured of AWS keys -> the keys that sign a question of the gateway's own."""

from collections.abc import Callable

from gateway.config.values import SecretRef
from gateway.core.ports import Fetch, SecretSource
from gateway.credentials.cloud import model
from gateway.credentials.cloud.aws import Keys
from gateway.credentials.cloud.sts import Lasting, Role
from gateway.credentials.sigv4_keys import AwsKeys, KeySource, ProcessKeys, StaticKeys, keys_of, printable

Sources = Callable[[SecretRef], SecretSource]


def asking_with(chosen: model.AwsKeys, region: str, secrets: Sources, now: Callable[[], float]) -> Keys:
    """Raises ValueError for keys that are missing or said twice."""
    if chosen.assume_role is not None:
        return Lasting(taken_on(chosen, chosen.assume_role, region, secrets, now), now)
    keys = configured(chosen, secrets)

    async def current(_: Fetch) -> AwsKeys:
        return keys.current(now())

    return current


def taken_on(chosen: model.AwsKeys, role: model.AssumeRole, region: str, secrets: Sources, now: Callable[[], float]) -> Role:
    """The role, and who asks for it. Raises ValueError."""
    given = (chosen.access_key_id, chosen.secret_access_key, chosen.keys) != (None, None, None)
    return Role(role, region, configured(chosen, secrets) if given else None, secrets, now)


def configured(chosen: model.AwsKeys, secrets: Sources) -> KeySource:
    """The keys that stand in the configuration. Raises ValueError."""
    id, secret, token = chosen.access_key_id, chosen.secret_access_key, chosen.session_token
    if chosen.keys is not None:
        if (id, secret, token) != (None, None, None):
            raise ValueError("`keys` stands for all of them: leave out access_key_id, secret_access_key and session_token")
        source = secrets(chosen.keys)
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
