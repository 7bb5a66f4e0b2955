"""Key-encryption keys that stay where they are -> what asks for them: the transit engine, AWS KMS, Google Cloud KMS."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.config.secrets import Secrets
from gateway.core.ports import Fetch
from gateway.credentials.cloud.blocking import Speaking
from gateway.credentials.vault.model import AwsKms, GcpKms, Key, Transit
from gateway.fetch import Contexts, HttpFetch

if TYPE_CHECKING:
    from gateway.credentials.vault.keys import KeyEncryption


class Machine:
    """The machine's time; implements `core.ports.Clock`."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


def elsewhere(model: Key, secrets: Secrets, speaking: Speaking) -> "KeyEncryption | None":
    """None for a key that is in our hands. Raises ValueError where what we prove ourselves with cannot be had or used."""
    if model.transit is not None:
        return _transit(model.id, model.transit, secrets, speaking)
    if model.aws_kms is not None:
        return _aws(model.id, model.aws_kms, secrets, speaking)
    return _google(model.id, model.gcp_kms, secrets, speaking) if model.gcp_kms is not None else None


def place_of(model: Key) -> str:
    """The word under which a key stands."""
    places = {"env": model.env, "file": model.file, "transit": model.transit, "aws_kms": model.aws_kms}
    return next((name for name, value in places.items() if value is not None), "gcp_kms")


def _transit(id: str, model: Transit, secrets: Secrets, speaking: Speaking) -> "KeyEncryption":
    from gateway.credentials.cloud.hashicorp import VaultClient
    from gateway.credentials.vault.transit import TransitKey

    return TransitKey(id, model, VaultClient(model, secrets, time.monotonic), speaking)


def _aws(id: str, model: AwsKms, secrets: Secrets, speaking: Speaking) -> "KeyEncryption":
    from gateway.credentials.cloud.aws import AwsService, placed
    from gateway.credentials.cloud.aws_keys import asking_with
    from gateway.credentials.vault.aws_kms import AwsKmsKey

    service = AwsService(placed(model, "kms"), asking_with(model, model.region, secrets, time.time), time.time)
    return AwsKmsKey(id, model, service, speaking)


def _google(id: str, model: GcpKms, secrets: Secrets, speaking: Speaking) -> "KeyEncryption":
    from gateway.credentials.cloud.gcp import GoogleService
    from gateway.credentials.vault.gcp_kms import URL, GcpKmsKey

    return GcpKmsKey(id, model, GoogleService(model, URL, secrets, Machine()), speaking)


def speaker() -> Speaking:
    """What gives the control plane's client for as long as one question takes; all questions of one load share what they trust."""
    contexts: Contexts = {}

    @asynccontextmanager
    async def speaking() -> AsyncIterator[Fetch]:
        fetch = HttpFetch(user_agent=f"latchgate/{__version__}", contexts=contexts)
        try:
            yield fetch
        finally:
            await fetch.close()

    return speaking
