"""The services of `secret_sources:`, and the secrets that a configuration refers to there: each read once, at load.

A secret that is not there refuses the configuration. A service that is away does not, where credentials need it: these have no
value until it answers, or go on with that of the configuration before (`sources.source.RemoteSource.take_over`).
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, TypeVar, assert_never

from gateway.config.secrets import Secrets
from gateway.config.values import AwsSecret, GcpSecret, RemoteReference, VaultSecret
from gateway.core.ports import Fetch
from gateway.credentials.cloud.blocking import waited
from gateway.credentials.sources.following import MOST_UNTOLD, Access, ask
from gateway.credentials.sources.model import Ages, AwsSource, GcpSource, Source, VaultSource
from gateway.credentials.sources.source import Ask, RemoteSource
from gateway.settings.keys import Machine, speaker

KINDS: Final[Mapping[type[RemoteReference], type[Ages]]] = {VaultSecret: VaultSource, AwsSecret: AwsSource, GcpSecret: GcpSource}
Asker = Callable[[RemoteReference], Ask]
R = TypeVar("R", VaultSecret, AwsSecret, GcpSecret)


class Services:
    """What gives the source of a reference. `untold` are the questions that no audit trail has heard of yet."""

    def __init__(self, models: Mapping[str, Source], secrets: Secrets) -> None:
        self.untold: deque[Access] = deque(maxlen=MOST_UNTOLD)
        self._models = models
        self._secrets = secrets
        self._askers: dict[str, Asker] = {}
        self._down: dict[str, str] = {}
        self._speaking = speaker()

    def __call__(self, reference: RemoteReference) -> RemoteSource:
        """The source of a secret, asked for once. Raises ValueError where there is none, or no service for it."""
        service = self._service(reference)
        source = self._source(service, reference)
        if service in self._down:
            source.failed(self._down[service], 0.0)
            return source

        async def once(fetch: Fetch) -> Access:
            return await ask(source, fetch)

        access = waited(self._speaking, once)
        self.untold.append(access)
        if access.outcome == "gone":
            raise ValueError(access.cause)
        if access.outcome == "failure":
            self._down[service] = access.cause  # others are not waited for in vain
        return source

    def _source(self, service: str, reference: RemoteReference) -> RemoteSource:
        model = self._models[service]
        key = (model, reference.model_copy(update={"source": service}))
        return RemoteSource(_name(reference, service), key, self._asker(service)(reference), model, time.monotonic)

    def _service(self, reference: RemoteReference) -> str:
        """The name of the service that has a secret: the one that is named, or the only one of its kind."""
        kind = KINDS[type(reference)]
        fitting = [name for name, model in self._models.items() if isinstance(model, kind)]
        if reference.source is not None:
            if reference.source not in fitting:
                raise ValueError(
                    f"'{reference.source}' is no entry of `secret_sources` of this kind: {', '.join(fitting) or 'there is none'}"
                )
            return reference.source
        if len(fitting) != 1:
            hint = f"say which by `source`: {', '.join(fitting)}" if fitting else "add one to `secret_sources`"
            raise ValueError(f"{len(fitting) or 'no'} services could have this secret: {hint}")
        return fitting[0]

    def _asker(self, service: str) -> Asker:
        if service not in self._askers:
            self._askers[service] = _asker(self._models[service], self._secrets)
        return self._askers[service]


def _asker(model: Source, secrets: Secrets) -> Asker:
    """What asks one service. Raises ValueError where what we prove ourselves with cannot be had or used."""
    match model:
        case VaultSource():
            return _vault(model, secrets)
        case AwsSource():
            return _aws(model, secrets)
        case GcpSource():
            return _gcp(model, secrets)
        case _ as never:
            assert_never(never)


def _vault(model: VaultSource, secrets: Secrets) -> Asker:
    from gateway.credentials.cloud.hashicorp import VaultClient
    from gateway.credentials.sources.vault_kv import VaultKv

    return _only(VaultSecret, VaultKv(model, VaultClient(model, secrets, time.monotonic)).of)


def _aws(model: AwsSource, secrets: Secrets) -> Asker:
    from gateway.credentials.cloud.aws import AwsService, placed
    from gateway.credentials.cloud.aws_keys import asking_with
    from gateway.credentials.sources.aws_secrets import SecretsManager

    service = AwsService(placed(model, "secretsmanager"), asking_with(model, model.region, secrets, time.time), time.time)
    return _only(AwsSecret, SecretsManager(service).of)


def _gcp(model: GcpSource, secrets: Secrets) -> Asker:
    from gateway.credentials.cloud.gcp import GoogleService
    from gateway.credentials.sources.gcp_secrets import URL, SecretManager

    return _only(GcpSecret, SecretManager(model, GoogleService(model, URL, secrets, Machine())).of)


def _only(kind: type[R], of: Callable[[R], Ask]) -> Asker:
    """What takes references of one kind only: which kind a service has was seen to before."""

    def asker(reference: RemoteReference) -> Ask:
        if not isinstance(reference, kind):
            raise ValueError("the service has no secrets of this kind")
        return of(reference)

    return asker


def _name(reference: RemoteReference, service: str) -> str:
    """What may be told of a secret: where it lies."""
    match reference:
        case VaultSecret():
            return f"{service}:{reference.vault}#{reference.field}"
        case AwsSecret():
            return f"{service}:{reference.aws_secret}" + (f"#{reference.field}" if reference.field else "")
        case GcpSecret():
            return f"{service}:{reference.gcp_secret}@{reference.version}" + (f"#{reference.field}" if reference.field else "")
        case _ as never:
            assert_never(never)
