"""Registrations and assertions against the vectors of their standard (Web Authentication Level 3, 16)."""

import json
import subprocess
import sys

import pytest

from gateway.operators.account import Key
from gateway.operators.ceremony import Ceremony
from tests.authenticator import b64

ID = "f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4"
CREATED = {  # 16.2, none attestation with ES256
    "clientDataJSON": "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a22414d4d507434557878475453746e63647134313759447742466938767049612d7077386f4f755657345441222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a534f4e206d617920626520657874656e6465642077697468206164646974696f6e616c206669656c647320696e20746865206675747572652c207375636820617320746869733a20426b5165446a646354427258426941774a544c453551227d",
    "attestationObject": "a363666d74646e6f6e656761747453746d74a068617574684461746158a4bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b559000000008446ccb9ab1db374750b2367ff6f3a1f0020f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4a5010203262001215820afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61225820930a56b87a2fca66334b03458abf879717c12cc68ed73290af2e2664796b9220",
}
ASSERTED = {
    "authenticatorData": "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000",
    "clientDataJSON": "7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a224f63446e55685158756c5455506f334a5558543049393770767a7a59425039745a63685879617630314167222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73657d",
    "signature": "3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd380221008480ac0f0b93538174f575bf11a1dd5d78c6e486013f937295ea13653e331e87",
}
FRAMED_ID = "6e1050c0d2ca2f07c755cb2c66a74c64fa43065c18f938354d9915db2bd5ce57"
FRAMED = {  # 16.4, the same in a frame of another origin
    "clientDataJSON": "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a224f2d57717a514e5463554a484930437257576e7951504859647862694332674872434d475666704c4f306b222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a747275652c22657874726144617461223a22636c69656e74446174614a534f4e206d617920626520657874656e6465642077697468206164646974696f6e616c206669656c647320696e20746865206675747572652c207375636820617320746869733a207a5a7175457444523944577170573574425754467567227d",
    "attestationObject": "a363666d74646e6f6e656761747453746d74a068617574684461746158a4bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b54500000000883f4f6014f19c09d87aa38123be48d000206e1050c0d2ca2f07c755cb2c66a74c64fa43065c18f938354d9915db2bd5ce57a501020326200121582022200a473f90b11078851550d03b4e44a2279f8c4eca27b3153dedfe03e4e97d225820cbd0be95e746ad6f5a8191be11756e4c0420e72f65b466d39bc56b8b123a9c6e",
}
LOADED = "import sys, gateway.operators.security_keys; print([name for name in sys.modules if 'fido2' in name])"


def told(identifier: str, response: dict[str, str]) -> str:
    named = b64(bytes.fromhex(identifier))
    fields = {name: b64(bytes.fromhex(value)) for name, value in response.items()}
    return json.dumps({"id": named, "rawId": named, "type": "public-key", "response": fields})


def ceremony(*, verified: bool = False, origin: str = "https://example.org") -> Ceremony:
    return Ceremony("example.org", origin, verified=verified, seconds=300)


def test_none_attestation_with_es256() -> None:
    judge = ceremony()
    created = judge.registration(told(ID, CREATED))
    assert created.response.client_data.challenge.hex() == "00c30fb78531c464d2b6771dab8d7b603c01162f2fa486bea70f283ae556e130"
    data, count = judge.registered(created)
    key = Key("vector", data, count, 0.0)
    assertion = judge.assertion(told(ID, ASSERTED))
    assert assertion.response.client_data.challenge.hex() == "39c0e7521417ba54d43e8dc95174f423dee9bf3cd804ff6d65c857c9abf4d408"
    assert judge.asserted(assertion, [key], b"") == (key, 0)
    assert judge.is_among(data, [key])
    for name, old, new in (
        ("authenticatorData", "00000000", "00000001"),
        ("clientDataJSON", "657d", "65207d"),
        ("signature", "1e87", "1e88"),
    ):
        altered = judge.assertion(told(ID, ASSERTED | {name: ASSERTED[name].replace(old, new)}))
        with pytest.raises(ValueError, match=r"signature|Invalid"):
            judge.asserted(altered, [key], b"")
    for other in (ceremony(verified=True), ceremony(origin="https://example.com")):
        with pytest.raises(ValueError, match=r"verif|origin"):
            other.asserted(assertion, [key], b"")


def test_a_credential_that_was_made_in_a_frame_of_another_origin() -> None:
    judge = ceremony()
    with pytest.raises(ValueError, match="frame"):
        judge.registered(judge.registration(told(FRAMED_ID, FRAMED)))


def test_nobody_loads_the_library_who_has_no_local_accounts() -> None:
    assert subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True).stdout == "[]\n"
