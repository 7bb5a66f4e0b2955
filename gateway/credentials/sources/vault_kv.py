"""Secrets in a key-value engine of HashiCorp Vault or OpenBao.

GET /v1/<mount>/data/<path> (version 2) or /v1/<mount>/<path> (version 1): API documentation of the KV secrets engine.
"""

from typing import Any, Final

from gateway.config.values import VaultSecret
from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetch
from gateway.credentials.answer import object_of
from gateway.credentials.cloud.hashicorp import VaultClient
from gateway.credentials.sources.model import VaultSource
from gateway.credentials.sources.picked import of_field
from gateway.credentials.sources.source import Ask, Gone, Read

MAX_ANSWER: Final = 256 * 1024


class VaultKv:
    """One engine."""

    def __init__(self, model: VaultSource, client: VaultClient) -> None:
        self._model = model
        self._client = client

    def of(self, reference: VaultSecret) -> Ask:
        """What asks for one secret."""

        async def ask(fetch: Fetch) -> Read:
            return await self._read(fetch, reference)

        return ask

    async def _read(self, fetch: Fetch, reference: VaultSecret) -> Read:
        host, model = self._client.host, self._model
        between = "data/" if model.version == 2 else ""
        answer = await self._client.ask(fetch, f"{model.mount}/{between}{reference.vault}", limit=MAX_ANSWER)
        members = object_of(answer.body)
        if answer.status == 404 and members is not None and ("errors" in members or "data" in members):
            raise Gone(f"{host}: there is no secret '{reference.vault}' in '{model.mount}'")
        if answer.status != 200:
            raise DependencyDown(f"{host}: answered {answer.status}")
        content, version = _content(members, model.version)
        if content is None:
            raise DependencyDown(f"{host}: the answer is not understood: is `version: {model.version}` that of the engine?")
        return Read(of_field(content, reference.field, host), version)


def _content(members: Any, version: int) -> tuple[dict[str, Any] | None, str]:
    """The secret's members, and its version."""
    data = members.get("data") if isinstance(members, dict) else None
    if version == 1 or not isinstance(data, dict):
        return data if isinstance(data, dict) else None, ""
    content, metadata = data.get("data"), data.get("metadata")
    number = metadata.get("version") if isinstance(metadata, dict) else None
    if not isinstance(content, dict) or type(number) is not int:
        return None, ""
    return content, str(number)
