"""Secrets in Google Secret Manager: a version accessed, its checksum compared.

docs.cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
"""

from typing import Any, Final

from gateway.config.values import GcpSecret
from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetch
from gateway.credentials.answer import object_of
from gateway.credentials.cloud.gcp import GoogleService, checked
from gateway.credentials.sources.model import GcpSource
from gateway.credentials.sources.picked import picked
from gateway.credentials.sources.source import Ask, Gone, Read

MAX_ANSWER: Final = 256 * 1024
URL: Final = "https://secretmanager.googleapis.com/v1"


class SecretManager:
    """The secrets of one project."""

    def __init__(self, model: GcpSource, service: GoogleService) -> None:
        self._project = model.project
        self._service = service

    def of(self, reference: GcpSecret) -> Ask:
        """What asks for one secret."""

        async def ask(fetch: Fetch) -> Read:
            return await self._read(fetch, reference)

        return ask

    async def _read(self, fetch: Fetch, reference: GcpSecret) -> Read:
        host = self._service.host
        path = f"projects/{self._project}/secrets/{reference.gcp_secret}/versions/{reference.version}:access"
        answer = await self._service.ask(fetch, path, limit=MAX_ANSWER)
        members = object_of(answer.body) or {}
        if _is_gone(answer.status, members):
            raise Gone(f"{host}: there is no secret '{reference.gcp_secret}' of version '{reference.version}' that is enabled")
        if answer.status != 200:
            raise DependencyDown(f"{host}: answered {answer.status}")
        version = _version(members.get("name"), reference)
        payload = members.get("payload")
        if not version or not isinstance(payload, dict):
            raise DependencyDown(f"{host}: the answer is about another secret, or not understood")
        return Read(picked(checked(payload, "data", "dataCrc32c", host), reference.field, host), version)


def _is_gone(status: int, members: dict[str, Any]) -> bool:
    """Whether Google itself says that there is none: not found, or disabled or destroyed (FAILED_PRECONDITION)."""
    error = members.get("error")
    code = error.get("status") if isinstance(error, dict) else None
    return (status, code) in {(404, "NOT_FOUND"), (400, "FAILED_PRECONDITION")}


def _version(name: Any, reference: GcpSecret) -> str:
    """The number of the version in `projects/NUMBER/secrets/NAME/versions/N`, "" where that is not what was asked for."""
    parts = name.split("/") if isinstance(name, str) else []
    if len(parts) != 6 or (parts[0], parts[2], parts[3], parts[4]) != ("projects", "secrets", reference.gcp_secret, "versions"):
        return ""
    asked = reference.version
    return parts[5] if parts[5].isdecimal() and (not asked.isdecimal() or parts[5] == asked) else ""
