"""A key-encryption key that never leaves Google Cloud KMS: encrypt and decrypt of data keys, with checksums both ways.

docs.cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys/encrypt and .../decrypt;
docs.cloud.google.com/kms/docs/data-integrity-guidelines
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetched
from gateway.credentials.answer import object_of
from gateway.credentials.cloud.blocking import Speaking, waited
from gateway.credentials.cloud.crc32c import crc32c
from gateway.credentials.cloud.gcp import GoogleService, checked
from gateway.credentials.vault.fault import Fault, NotOpened
from gateway.credentials.vault.keys import data_key
from gateway.credentials.vault.model import GcpKms
from gateway.credentials.vault.sizes import MAX_WRAPPED

MAX_ANSWER: Final = 32 * 1024
URL: Final = "https://cloudkms.googleapis.com/v1"


class GcpKmsKey:
    """Implements `keys.KeyEncryption`. Each call asks the service and waits."""

    def __init__(self, id: str, model: GcpKms, service: GoogleService, speaking: Speaking) -> None:
        self.id = id
        self._name = model.name
        self._service = service
        self._speaking = speaking

    def wrap(self, key: bytes, bound: bytes) -> bytes:
        """Raises DependencyDown, also where the service did not get what was sent."""
        answer = self._asked("encrypt", {**_sent("plaintext", key), **_sent("additionalAuthenticatedData", bound)})
        members = self._members(answer)
        host, version = self._service.host, members.get("name")
        if not isinstance(version, str) or not version.startswith(f"{self._name}/cryptoKeyVersions/"):
            raise DependencyDown(f"{host}: the answer is about another key")
        verified = ("verifiedPlaintextCrc32c", "verifiedAdditionalAuthenticatedDataCrc32c")
        if any(members.get(name) is not True for name in verified):
            raise DependencyDown(f"{host}: what was sent was damaged on its way: its checksum was not verified")
        wrapped = checked(members, "ciphertext", "ciphertextCrc32c", host)
        if not 0 < len(wrapped) <= MAX_WRAPPED:
            raise DependencyDown(f"{host}: the answer is not understood")
        return wrapped

    def unwrap(self, wrapped: bytes, bound: bytes) -> bytes:
        """Raises NotOpened, also for whatever the service calls a bad request, and DependencyDown."""
        answer = self._asked("decrypt", {**_sent("ciphertext", wrapped), **_sent("additionalAuthenticatedData", bound)})
        if answer.status == 400:
            raise NotOpened(Fault.ALTERED, "Cloud KMS refuses it: the key is another one, or the text was altered or moved")
        return data_key(checked(self._members(answer), "plaintext", "plaintextCrc32c", self._service.host))

    def _asked(self, action: str, members: Mapping[str, Any]) -> Fetched:
        path = f"{self._name}:{action}"
        return waited(self._speaking, lambda fetch: self._service.ask(fetch, path, members, limit=MAX_ANSWER))

    def _members(self, answer: Fetched) -> dict[str, Any]:
        if answer.status != 200:
            raise DependencyDown(f"{self._service.host}: Cloud KMS answered {answer.status}")
        members = object_of(answer.body)
        if members is None:
            raise DependencyDown(f"{self._service.host}: the answer is not understood")
        return members


def _sent(name: str, content: bytes) -> dict[str, str]:
    """Bytes in base64 with their checksum, a 64-bit number and therefore text."""
    return {name: base64.b64encode(content).decode("ascii"), f"{name}Crc32c": str(crc32c(content))}
