"""A key-encryption key that never leaves HashiCorp Vault or OpenBao: their transit engine wraps and unwraps data keys.

POST /v1/<mount>/encrypt|decrypt/<key> with `associated_data` (API documentation of the transit secrets engine, "Encrypt Data",
"Decrypt Data"); keys of a kind that authenticates it, as aes256-gcm96, the default, does.
"""

import base64
import re
from typing import Any, Final

import orjson

from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetched
from gateway.credentials.cloud.blocking import Speaking, waited
from gateway.credentials.cloud.hashicorp import VaultClient
from gateway.credentials.vault.fault import Fault, NotOpened
from gateway.credentials.vault.keys import data_key
from gateway.credentials.vault.model import Transit
from gateway.credentials.vault.sizes import MAX_WRAPPED

MAX_ANSWER: Final = 16 * 1024
WRAPPED: Final = re.compile(r"vault:v[0-9]{1,9}:[A-Za-z0-9+/]+={0,2}", re.ASCII)


class TransitKey:
    """Implements `keys.KeyEncryption`. Each call asks the server and waits."""

    def __init__(self, id: str, model: Transit, client: VaultClient, speaking: Speaking) -> None:
        self.id = id
        self._model = model
        self._client = client
        self._speaking = speaking

    def wrap(self, key: bytes, bound: bytes) -> bytes:
        """Raises DependencyDown."""
        answer = self._asked("encrypt", {"plaintext": _base64(key), "associated_data": _base64(bound)})
        found = self._told(answer, "ciphertext")
        if len(found) > MAX_WRAPPED or WRAPPED.fullmatch(found) is None:
            raise DependencyDown(f"{self._client.host}: the transit engine's answer is not understood")
        return found.encode("ascii")

    def unwrap(self, wrapped: bytes, bound: bytes) -> bytes:
        """Raises NotOpened, also for whatever the server calls a bad request, and DependencyDown."""
        text = wrapped.decode("latin-1")
        if WRAPPED.fullmatch(text) is None:
            raise NotOpened(Fault.MALFORMED, "holds no data key that a transit engine wrapped")
        answer = self._asked("decrypt", {"ciphertext": text, "associated_data": _base64(bound)})
        if answer.status == 400:
            raise NotOpened(
                Fault.ALTERED, "the transit engine refuses it: the key is another one, or the text was altered or moved"
            )
        try:
            key = base64.b64decode(self._told(answer, "plaintext"), validate=True)
        except ValueError:
            key = b""
        return data_key(key)

    def _asked(self, action: str, members: dict[str, str]) -> Fetched:
        path = f"{self._model.mount}/{action}/{self._model.key}"
        return waited(self._speaking, lambda fetch: self._client.ask(fetch, path, members, limit=MAX_ANSWER))

    def _told(self, answer: Fetched, member: str) -> str:
        """One member of the answer's `data`. Never what else it says: errors of the server may repeat what it was asked."""
        if answer.status != 200:
            raise DependencyDown(f"{self._client.host}: the transit engine answered {answer.status}")
        try:
            found: Any = orjson.loads(answer.body)["data"][member]
        except (ValueError, KeyError, TypeError):
            found = None
        if not isinstance(found, str):
            raise DependencyDown(f"{self._client.host}: the transit engine's answer is not understood")
        return found


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
