"""Who asks on the command line: a subject of a test, the bearer of claims or of a token, or nobody."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import typer

from gateway.authn.token import Malformed, Token
from gateway.authz import cases
from gateway.config.regular import content
from gateway.core.decision import AccessRequest
from gateway.core.principal import ANONYMOUS, Identity, Principal
from gateway.rehearsal import Rehearsal
from gateway.settings import Loaded

LONGEST: Final = 64 * 1024
WARNING: Final = (
    "*** NOT VERIFIED: THE TOKEN'S SIGNATURE, ISSUER, AUDIENCE AND TIMES WERE NOT CHECKED. ***",
    "*** THE GATEWAY MAY REFUSE IT BEFORE ANY POLICY IS ASKED.                             ***",
)


@dataclass(frozen=True, slots=True)
class Bearer:
    """How the principal was named: at most one of a test's subject, a file of claims, a token."""

    subject: str = ""
    claims: Path | None = None
    token: str = ""
    unverified: bool = False


@dataclass(frozen=True, slots=True)
class Who:
    """The principal, and whether somebody proved to be it; `warning` is what has to be said first."""

    principal: Principal
    verified: bool = False
    warning: tuple[str, ...] = ()


def bearer_of(loaded: Loaded, rehearsal: Rehearsal, bearer: Bearer, access: AccessRequest) -> Who:
    """Who asks. Raises typer.BadParameter naming what is known, and GatewayError where the gateway would refuse the token."""
    if sum((bool(bearer.subject), bearer.claims is not None, bool(bearer.token))) > 1:
        raise typer.BadParameter("name one of --as, --claims and --token")
    if bearer.unverified and not bearer.token:
        raise typer.BadParameter("--unverified belongs to --token")
    if bearer.token:
        return _by_token(loaded, rehearsal, bearer, access)
    grant = rehearsal.policies.grant.at
    if bearer.claims is not None:
        return Who(grant(_identity(loaded, _claims(bearer.claims), str(bearer.claims)), access.now))
    if not bearer.subject:
        return Who(grant(Identity(id=ANONYMOUS, issuer=ANONYMOUS, scheme=ANONYMOUS), access.now))
    subjects = {key: subject for test in rehearsal.documents.tests for key, subject in test.model.subjects.items()}
    if bearer.subject not in subjects:
        known = ", ".join(sorted(subjects)) or "none"
        raise typer.BadParameter(f"no PolicyTest names {bearer.subject!r}; known: {known}", param_hint="--as")
    return Who(grant(cases.identity(bearer.subject, subjects[bearer.subject]), access.now))


def _by_token(loaded: Loaded, rehearsal: Rehearsal, bearer: Bearer, access: AccessRequest) -> Who:
    raw = _credential(bearer.token)
    if bearer.unverified:
        try:
            claims = Token(raw, LONGEST).payload
        except Malformed as error:
            raise typer.BadParameter(f"not a token: {error}", param_hint="--token") from error
        return Who(rehearsal.policies.grant.at(_identity(loaded, claims, "the token"), access.now), False, WARNING)
    route = next(route for route in rehearsal.snapshot.routes if route.name == access.route)
    if route.service is None:
        raise typer.BadParameter("the gateway answers this itself", param_hint="--token")
    head = access.request.head
    head.headers.append((b"authorization", b"Bearer " + raw))
    head.fields[b"authorization"] = b"Bearer " + raw
    try:
        return Who(asyncio.run(route.service.gate.authenticate(access.request)), verified=True)
    finally:
        del head.headers[-1], head.fields[b"authorization"]


def _credential(text: str) -> bytes:
    """A token named by the file it is in, by `-` for standard input, or by itself."""
    if text == "-":
        raw = sys.stdin.buffer.read(LONGEST + 1)
    else:
        try:
            raw = content(text, LONGEST)
        except (OSError, ValueError):
            raw = text.encode("utf-8", "surrogateescape")
    raw = raw.strip()
    return raw[7:].strip() if raw[:7].lower() == b"bearer " else raw


def _claims(file: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(content(file))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="--claims") from error
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{file}: claims are a JSON object", param_hint="--claims")
    return found


def _identity(loaded: Loaded, claims: dict[str, Any], where: str) -> Identity:
    """The identity that a verified token with these claims would give."""
    issuers = loaded.settings.authentication.named() if loaded.settings is not None else {}
    for name, issuer in issuers.items():
        if claims.get("iss") == issuer.issuer:
            return Identity(
                id=str(claims.get(issuer.subject, "")),
                issuer=name,
                scheme="jwt",
                claims=claims,
                groups=_texts(claims.get(issuer.groups)),
                scopes=_texts(claims.get(issuer.scopes)),
                scope_ceiling=issuer.scope_ceiling,
            )
    raise typer.BadParameter(f"{where}: `iss` names no configured issuer; known: {', '.join(issuers) or 'none'}")


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()
