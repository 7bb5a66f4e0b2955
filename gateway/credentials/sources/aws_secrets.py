"""Secrets in AWS Secrets Manager: GetSecretValue.

docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
"""

import base64
from typing import Any, Final

from gateway.config.values import AwsSecret
from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetch
from gateway.credentials.answer import object_of
from gateway.credentials.cloud.aws import AwsService, fault
from gateway.credentials.sources.picked import picked
from gateway.credentials.sources.source import Ask, Gone, Read

MAX_ANSWER: Final = 256 * 1024
GONE: Final = frozenset({"ResourceNotFoundException", "InvalidRequestException"})
"""The second one is how a secret is told that is marked for deletion."""
CODES: Final = GONE | {
    "AccessDeniedException",
    "DecryptionFailure",
    "ExpiredTokenException",
    "InternalServiceError",
    "InvalidParameterException",
    "InvalidSignatureException",
    "ThrottlingException",
    "UnrecognizedClientException",
}


class SecretsManager:
    """The secrets of one region."""

    def __init__(self, service: AwsService) -> None:
        self._service = service

    def of(self, reference: AwsSecret) -> Ask:
        """What asks for one secret."""

        async def ask(fetch: Fetch) -> Read:
            return await self._read(fetch, reference)

        return ask

    async def _read(self, fetch: Fetch, reference: AwsSecret) -> Read:
        host, said = self._service.host, {"SecretId": reference.aws_secret, "VersionStage": "AWSCURRENT"}
        answer = await self._service.ask(fetch, "secretsmanager.GetSecretValue", said, limit=MAX_ANSWER)
        if answer.status == 400 and fault(answer, GONE):
            raise Gone(f"{host}: there is no secret '{reference.aws_secret}'")
        members = object_of(answer.body)
        if answer.status != 200 or members is None:
            raise DependencyDown(f"{host}: answered {answer.status} {fault(answer, CODES)}".rstrip())
        if not _is_asked_for(members, reference.aws_secret):
            raise DependencyDown(f"{host}: the answer is about another secret")
        version = members.get("VersionId")
        return Read(picked(_content(members, host), reference.field, host), version[:64] if isinstance(version, str) else "")


def _is_asked_for(members: dict[str, Any], asked: str) -> bool:
    """Whether the answer names what was asked for: its name, its ARN, or its ARN without the six letters that end it."""
    name, arn = members.get("Name"), members.get("ARN")
    if not asked.startswith("arn:"):
        return name == asked
    return isinstance(arn, str) and (arn == asked or arn[:-7] == asked)


def _content(members: dict[str, Any], host: str) -> bytes:
    text, binary = members.get("SecretString"), members.get("SecretBinary")
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(binary, validate=True) if isinstance(binary, str) else b""
    except ValueError:
        raise DependencyDown(f"{host}: the answer is not understood") from None
