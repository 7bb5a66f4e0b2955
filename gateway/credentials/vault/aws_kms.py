"""A key-encryption key that never leaves AWS KMS: Encrypt and Decrypt of data keys, bound by the encryption context.

docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html, API_Decrypt.html. The context is written into CloudTrail as it is, so
what a text is bound to stands there as a hash.
"""

import base64
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetched
from gateway.credentials.answer import object_of
from gateway.credentials.cloud.aws import AwsService, fault
from gateway.credentials.cloud.blocking import Speaking, waited
from gateway.credentials.vault.fault import Fault, NotOpened
from gateway.credentials.vault.keys import data_key
from gateway.credentials.vault.model import AwsKms
from gateway.credentials.vault.sizes import MAX_WRAPPED

MAX_ANSWER: Final = 32 * 1024
BOUND: Final = "latchgate"
"""The name in the encryption context under which the hash stands."""
ALTERED: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
CODES: Final = ALTERED | {
    "AccessDeniedException",
    "DependencyTimeoutException",
    "DisabledException",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidKeyUsageException",
    "InvalidSignatureException",
    "KMSInternalException",
    "KMSInvalidStateException",
    "KeyUnavailableException",
    "NotFoundException",
    "ThrottlingException",
    "UnrecognizedClientException",
    "ValidationException",
}


class AwsKmsKey:
    """Implements `keys.KeyEncryption`. Each call asks the service and waits."""

    def __init__(self, id: str, model: AwsKms, service: AwsService, speaking: Speaking) -> None:
        self.id = id
        self._model = model
        self._service = service
        self._speaking = speaking

    def wrap(self, key: bytes, bound: bytes) -> bytes:
        """Raises DependencyDown."""
        answer = self._asked("TrentService.Encrypt", {"Plaintext": _base64(key)}, bound)
        wrapped = self._told(answer, "CiphertextBlob")
        if not 0 < len(wrapped) <= MAX_WRAPPED:
            raise DependencyDown(f"{self._service.host}: the answer is not understood")
        return wrapped

    def unwrap(self, wrapped: bytes, bound: bytes) -> bytes:
        """Raises NotOpened where the service says that it did not wrap this, or not for this place, and DependencyDown."""
        answer = self._asked("TrentService.Decrypt", {"CiphertextBlob": _base64(wrapped)}, bound)
        if answer.status == 400 and fault(answer, ALTERED):
            raise NotOpened(Fault.ALTERED, "AWS KMS refuses it: the key is another one, or the text was altered or moved")
        return data_key(self._told(answer, "Plaintext"))

    def _asked(self, action: str, members: Mapping[str, Any], bound: bytes) -> Fetched:
        context = {**self._model.encryption_context, BOUND: sha256(bound).hexdigest()}
        said = {**members, "KeyId": self._model.key, "EncryptionContext": context, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
        return waited(self._speaking, lambda fetch: self._service.ask(fetch, action, said, limit=MAX_ANSWER))

    def _told(self, answer: Fetched, member: str) -> bytes:
        """The bytes of one member. Never what else it says."""
        host = self._service.host
        if answer.status != 200:
            raise DependencyDown(f"{host}: AWS KMS answered {answer.status} {fault(answer, CODES)}".rstrip())
        members = object_of(answer.body) or {}
        told, key = members.get(member), members.get("KeyId")
        if not isinstance(key, str) or key.rpartition("/")[2] != self._model.key.rpartition("/")[2]:
            raise DependencyDown(f"{host}: the answer is about another key")
        try:
            return base64.b64decode(told, validate=True) if isinstance(told, str) else b""
        except ValueError:
            return b""


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
