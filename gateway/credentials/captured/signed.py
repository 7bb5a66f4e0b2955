"""A client's own signature (AWS Signature Version 4), made with placeholders: what it claims, and whether it holds."""

import hmac
import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

from gateway.core.message import Field, Head, Request
from gateway.core.placeholders import SIGV4_CREDENTIAL
from gateway.core.secret import Secret
from gateway.credentials import sigv4
from gateway.credentials.captured.used import Refused
from gateway.credentials.sigv4_chunks import ChunkSigner
from gateway.credentials.sigv4_injector import ONCE

FORM: Final = re.compile(
    re.escape(SIGV4_CREDENTIAL) + rb"([A-Z0-9]{16,128})/([0-9]{8})/([a-z0-9-]{1,64})/([a-z0-9-]{1,64})/aws4_request, ?"
    rb"SignedHeaders=([a-z0-9;._-]{1,4096}), ?Signature=([0-9a-f]{64})"
)
UNSIGNED_FRAMES: Final = b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"
DATE: Final = re.compile(rb"[0-9]{8}T[0-9]{6}Z")
SKEW: Final = 900.0
"""Seconds a signature may be old, or ahead: as Amazon S3 has it."""


class Claim(NamedTuple):
    """What an Authorization field says of its signature."""

    id: bytes
    scope: sigv4.Scope
    names: bytes
    signature: bytes


def claimed(head: Head) -> Claim:
    """Raises Refused where that is no signature of this version in header fields."""
    found = FORM.fullmatch(head.fields.get(b"authorization", b""))
    date = head.fields.get(b"x-amz-date", b"")
    if found is None or DATE.fullmatch(date) is None or date[:8] != found[2]:
        raise Refused("malformed")
    return Claim(found[1], sigv4.Scope(date, found[3], found[4]), found[5], found[6])


def verify(claim: Claim, request: Request, secret: Secret, payload: bytes, now: float) -> ChunkSigner | None:
    """Raises Refused for a signature that does not hold, is of another time, or leaves open what Amazon wants signed.

    Returned is what signs the frames of its body, if it has any, as the client must have done; None where they are not signed.

    `payload` is what stands in it for the body. Path and query are those that the client asked this gateway for.
    """
    try:
        said = datetime.strptime(claim.scope.date.decode("ascii"), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise Refused("malformed") from None
    if abs(now - said) > SKEW:
        raise Refused("stale")
    target = request.path.encode("ascii") + (b"" if request.query is None else b"?" + request.query)
    once = claim.scope.service.decode("ascii") in ONCE
    canonical = sigv4.canonical(
        request.method.encode("ascii"), sigv4.sent_form(target), covered(claim, request.head), payload, once=once
    )
    key = sigv4.signing_key(secret.reveal(), claim.scope)
    made = sigv4.signature(key, sigv4.string_to_sign(claim.scope, canonical.text))
    if canonical.names != claim.names or not hmac.compare_digest(made, claim.signature):
        raise Refused("signature")
    return None if payload == UNSIGNED_FRAMES else ChunkSigner(key, claim.scope, made)


def covered(claim: Claim, head: Head) -> list[Field]:
    """The fields that are signed. Raises Refused where one is not there, or where `host` or one of `x-amz-` is left out.

    So it is where a Connection field, which nobody signs, names one of them: it would not be passed on (RFC 9110 7.6.1).
    """
    names = claim.names.split(b";")
    listed = b",".join(value for name, value in head.headers if name == b"connection").lower()
    dropped = {option.strip(b" \t") for option in listed.split(b",")}
    if any(name in names or name.startswith(b"x-amz-") for name in dropped):
        raise Refused("signature")
    fields = {b"host": head.authority.encode("ascii"), **head.fields}
    if b"host" not in names or any(name.startswith(b"x-amz-") and name not in names for name in fields):
        raise Refused("signature")
    if any(name not in fields or name in head.repeated for name in names):
        raise Refused("signature")
    return [(name, fields[name]) for name in names]
