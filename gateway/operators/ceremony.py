"""WebAuthn Level 3 as a relying party without attestation: what browsers are asked, and whether their answers are right.

fido2 compares type, origin, challenge, RP ID, presence, verification and signature; the rest of sections 7.1 and 7.2 stands here.
That a challenge is one of ours is the caller's to know: here it is only what was signed.
"""

import base64
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, final

import orjson
from cryptography.exceptions import InvalidSignature
from fido2.cose import CoseKey
from fido2.server import Fido2Server
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialParameters,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from gateway.operators.account import Key

KINDS: Final = {-7: 2, -8: 1, -257: 3}
"""ES256, EdDSA and RS256 (RFC 9053, RFC 8812), each with its type of key."""
LONGEST_ID: Final = 1023
"""Bytes of a credential's id (7.1, step 25)."""
RSA_BYTES: Final = range(256, 513)
UNREADABLE: Final = (
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    RecursionError,
    OverflowError,
    MemoryError,
    struct.error,
)
"""What fido2 raises, beside ValueError, for what is not what it should be."""


@final
class Ceremony:
    """Everything that judges raises ValueError."""

    def __init__(self, host: str, origin: str, *, verified: bool, seconds: int) -> None:
        relying = PublicKeyCredentialRpEntity(name="Latchgate", id=host)
        self._server = Fido2Server(relying, AttestationConveyancePreference.NONE, lambda given: given == origin)
        self._server.allowed_algorithms = [
            PublicKeyCredentialParameters(type=PublicKeyCredentialType.PUBLIC_KEY, alg=alg) for alg in KINDS
        ]
        self._timeout = seconds * 1000
        self._verification = UserVerificationRequirement.REQUIRED if verified else UserVerificationRequirement.DISCOURAGED

    def creation(self, challenge: bytes, handle: bytes, name: str, keys: Sequence[Key]) -> dict[str, Any]:
        """`{publicKey}` for `navigator.credentials.create()`; keys that are there are not made again."""
        options, _ = self._server.register_begin(
            PublicKeyCredentialUserEntity(id=handle, name=name, display_name=name),
            [credential_of(key) for key in keys],
            resident_key_requirement=ResidentKeyRequirement.DISCOURAGED,
            user_verification=self._verification,
            challenge=challenge,
        )
        return self._shown(options)

    def request(self, challenge: bytes, keys: Sequence[Key]) -> dict[str, Any]:
        """`{publicKey}` for `navigator.credentials.get()`."""
        credentials = [credential_of(key) for key in keys]
        options, _ = self._server.authenticate_begin(credentials, user_verification=self._verification, challenge=challenge)
        return self._shown(options)

    def registration(self, text: str) -> RegistrationResponse:
        """What `create()` gave, read."""
        try:
            return RegistrationResponse.from_dict(_object(text))
        except UNREADABLE as error:
            raise ValueError("no RegistrationResponseJSON") from error

    def assertion(self, text: str) -> AuthenticationResponse:
        """What `get()` gave, read."""
        try:
            return AuthenticationResponse.from_dict(_object(text))
        except UNREADABLE as error:
            raise ValueError("no AuthenticationResponseJSON") from error

    def registered(self, response: RegistrationResponse) -> tuple[str, int]:
        """The credential that was made, as it is kept, and its counter (7.1)."""
        try:
            data = self._server.register_complete(self._state(response.response.client_data), response)
            _check(data, response.response.client_data)
            credential = data.credential_data
            if credential is None or not 0 < len(credential.credential_id) <= LONGEST_ID:
                raise ValueError("no credential, or one with a longer id")
            _check_key(credential.public_key)
        except UNREADABLE as error:
            raise ValueError("no credential") from error
        return websafe_encode(credential), data.counter

    def asserted(self, response: AuthenticationResponse, keys: Sequence[Key], handle: bytes) -> tuple[Key, int]:
        """Which key answered, and its counter (7.2)."""
        answer = response.response
        credentials = [credential_of(key) for key in keys]
        try:
            found = self._server.authenticate_complete(self._state(answer.client_data), credentials, response)
        except UNREADABLE as error:
            raise ValueError("no assertion") from error
        _check(answer.authenticator_data, answer.client_data)
        if answer.user_handle not in (None, handle):
            raise ValueError("the handle of another account")
        return keys[credentials.index(found)], answer.authenticator_data.counter

    def is_among(self, data: str, keys: Iterable[Key]) -> bool:
        """Whether a credential is that of a key."""
        mine = AttestedCredentialData(websafe_decode(data)).credential_id
        return any(credential_of(key).credential_id == mine for key in keys)

    def _shown(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {"publicKey": {**options["publicKey"], "timeout": self._timeout}}

    def _state(self, client_data: CollectedClientData) -> dict[str, Any]:
        return {"challenge": websafe_encode(client_data.challenge), "user_verification": self._verification}


def credential_of(key: Key) -> AttestedCredentialData:
    """A key's credential."""
    return AttestedCredentialData(base64.urlsafe_b64decode(key.data + "=" * (-len(key.data) % 4)))


def _object(text: str) -> dict[str, Any]:
    found = orjson.loads(text)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _check(data: AuthenticatorData, client_data: CollectedClientData) -> None:
    if client_data.cross_origin:
        raise ValueError("asked in a frame of another origin")
    if data.is_backed_up() and not data.is_backup_eligible():
        raise ValueError("backed up, and not to be")


def _check_key(key: CoseKey) -> None:
    """Of a kind that was asked for, and one that verifies: a signature that is none must be wrong, and nothing else."""
    if KINDS.get(key[3]) != key[1]:
        raise ValueError("a public key that was not asked for")
    if key[3] == -257 and (len(key[-1]) not in RSA_BYTES or key[-2] != b"\x01\x00\x01"):
        raise ValueError("an RSA key of less than 2048 bits, more than 4096, or with an exponent of its own")
    try:
        key.verify(b"", b"")
    except InvalidSignature:
        return
    raise ValueError("a public key that takes anything")
