"""Whether a client certificate was revoked, as its authority's responder says (RFC 6960), asked before it first counts.

Only the configured responder is asked, never one that a certificate names: whoever shows one would choose what we connect to. An
answer is remembered until it ends, at most `cache`; of the same certificate one question is under way at a time.
"""

import asyncio
import hashlib
import logging
import os
import secrets
from collections.abc import Iterable
from typing import Any, Final, final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.authn.ocsp_model import Ocsp as Model
from gateway.authn.recent import Recent
from gateway.authn.workload_model import Mtls
from gateway.config.regular import content
from gateway.core.errors import ConfigError, DependencyDown, Problem, Unauthenticated
from gateway.core.ports import Clock, Fetch, Metrics

COUNTED: Final = "gateway.ocsp.answers"
PLACE: Final = "authentication.mtls.ocsp"
REMEMBERED: Final = 4096
"""Certificates whose status is remembered."""
MOST: Final = 32
"""Questions under way at once. Beyond them the responder counts as away."""
MOST_BYTES: Final = 64 * 1024
SKEW: Final = 300.0
"""Seconds that the responder's clock may be ahead of ours."""
FRESH: Final = 60.0
"""How long an answer without an end counts that repeats our nonce."""
PAUSE: Final = 5.0
"""How long nobody asks again about a certificate that no answer was to be had for."""

GOOD, REVOKED, FAILED = "good", "revoked", "failed"

UNREADABLE: Final = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What certificates and answers that nobody verified yet may raise."""

log = logging.getLogger(__name__)


@final
class Responder:
    """The configured responder, and what it said."""

    def __init__(self, model: Model, fetch: Fetch, clock: Clock, metrics: Metrics) -> None:
        """Raises ConfigError for authorities that cannot be read."""
        self._model = model
        self._fetch = fetch
        self._clock = clock
        self._metrics = metrics
        self._known: Recent[bytes, tuple[str, float]] = Recent(REMEMBERED)
        self._asking: dict[bytes, asyncio.Task[str]] = {}
        try:
            self._authorities = x509.load_pem_x509_certificates(content(model.authorities))
        except (OSError, ValueError) as error:
            wrong = f"no certificates in PEM: {error}"
            raise ConfigError([Problem(str(model.authorities), 0, 0, f"{PLACE}.authorities", wrong)]) from error

    async def check(self, der: bytes) -> None:
        """Raises Unauthenticated for a certificate that is not good, DependencyDown where that cannot be told and has to be."""
        key = hashlib.sha256(der).digest()
        known = self._known.get(key)
        status = known[0] if known is not None and known[1] > self._clock.now() else await self._shared(key, der)
        if status == REVOKED:
            raise Unauthenticated("certificate: its authority's responder says that it is not good", genuine=True)
        if status == FAILED and self._model.required:
            raise DependencyDown("certificate: whether it was revoked cannot be told (`authentication.mtls.ocsp`)")

    async def close(self) -> None:
        """End what is under way; whoever waits gets DependencyDown."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _shared(self, key: bytes, der: bytes) -> str:
        """One question for all who wait. A waiter that is cancelled leaves it to the others."""
        task = self._asking.get(key)
        if task is None:
            if len(self._asking) >= MOST:
                return FAILED
            task = self._asking[key] = asyncio.create_task(self._ask(key, der), name="ocsp")
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if not task.cancelled() or (waiter is not None and waiter.cancelling()):
                raise
            raise DependencyDown("certificate: closing") from None

    async def _ask(self, key: bytes, der: bytes) -> str:
        try:
            status, until = await self._answer(x509.load_der_x509_certificate(der))
        except (DependencyDown, *UNREADABLE) as error:
            log.warning("the status of a client certificate is not known", extra={"cause": str(error)})
            status, until = FAILED, self._clock.now() + PAUSE
        self._metrics.count(COUNTED, outcome=status)
        self._known.put(key, (status, until))
        return status

    async def _answer(self, certificate: x509.Certificate) -> tuple[str, float]:
        """The status and until when it counts. Raises DependencyDown and ValueError."""
        issuer = next((each for each in self._authorities if issued(certificate, each)), None)
        if issuer is None:
            raise ValueError("no authority of `authorities` signed it")
        nonce = secrets.token_bytes(16)
        named = hashes.SHA1()  # noqa: S303  a name that nothing rests on, and the one that all responders know
        builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, named)
        request = builder.add_extension(x509.OCSPNonce(nonce), critical=False).build()
        model = self._model
        answer = await self._fetch.post(
            model.responder,
            body=request.public_bytes(Encoding.DER),
            content_type="application/ocsp-request",
            limit=MOST_BYTES,
            timeout=model.timeout,
            allow_plaintext=model.allow_plaintext,
            allow_private=model.allow_private,
            ca=os.fspath(model.ca) if model.ca is not None else None,
        )
        if answer.status != 200:
            raise DependencyDown(f"the responder answered {answer.status}")
        return judged(ocsp.load_der_ocsp_response(answer.body), request, issuer, nonce, self._clock.now(), model.cache)


def responder(mtls: Mtls | None, fetch: Fetch, clock: Clock, metrics: Metrics) -> Responder | None:
    """The one that is asked, where one is configured. Raises ConfigError."""
    return None if mtls is None or mtls.ocsp is None else Responder(mtls.ocsp, fetch, clock, metrics)


def judged(
    answer: ocsp.OCSPResponse, request: ocsp.OCSPRequest, issuer: x509.Certificate, nonce: bytes, now: float, cache: float
) -> tuple[str, float]:
    """RFC 6960 3.2: the status of what was asked about, and until when it counts. Raises ValueError for what proves nothing."""
    if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise ValueError(f"the responder says {answer.response_status.name.lower()}")
    if not _signed(answer, issuer, now):
        raise ValueError("neither the authority nor a responder of its own signed the answer")
    repeated = _nonce(answer)
    if repeated is not None and repeated != nonce:
        raise ValueError("the answer is to another question")
    found = [each for each in answer.responses if _name(each) == _name(request)]
    if len(found) != 1:
        raise ValueError("the answer is about another certificate")
    begins, ends = found[0].this_update_utc.timestamp(), found[0].next_update_utc
    if begins > now + SKEW:
        raise ValueError("the answer is not in force yet")
    if ends is None and repeated is None:
        raise ValueError("the answer never ends, and could be an old one")
    until = ends.timestamp() if ends is not None else now + FRESH
    if until <= now:
        raise ValueError("the answer has ended")
    status = GOOD if found[0].certificate_status is ocsp.OCSPCertStatus.GOOD else REVOKED
    return status, min(until, now + cache)


def issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether the authority signed the certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _name(told: Any) -> tuple[int, bytes, bytes]:
    """What a question or an answer is about, in the one hash that is asked with."""
    return told.serial_number, told.issuer_name_hash, told.issuer_key_hash


def _nonce(answer: ocsp.OCSPResponse) -> bytes | None:
    try:
        return answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return None


def _signed(answer: ocsp.OCSPResponse, issuer: x509.Certificate, now: float) -> bool:
    """RFC 6960 4.2.2.2: by the authority itself, or by whom it certified for this and nothing else."""
    return any(_verifies(answer, each) for each in (issuer, *_delegated(answer.certificates, issuer, now)))


def _delegated(shown: Iterable[x509.Certificate], issuer: x509.Certificate, now: float) -> Iterable[x509.Certificate]:
    for each in shown:
        try:
            usage = each.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except x509.ExtensionNotFound:
            continue
        in_force = each.not_valid_before_utc.timestamp() <= now < each.not_valid_after_utc.timestamp()
        if in_force and ExtendedKeyUsageOID.OCSP_SIGNING in usage and issued(each, issuer):
            yield each


def _verifies(answer: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key: Any = signer.public_key()
    hash, signature, signed = answer.signature_hash_algorithm, answer.signature, answer.tbs_response_bytes
    try:
        if isinstance(key, rsa.RSAPublicKey) and hash is not None:
            key.verify(signature, signed, padding.PKCS1v15(), hash)
        elif isinstance(key, ec.EllipticCurvePublicKey) and hash is not None:
            key.verify(signature, signed, ec.ECDSA(hash))
        else:
            key.verify(signature, signed)
    except (InvalidSignature, TypeError, UnsupportedAlgorithm, ValueError, AttributeError):
        return False
    return True
