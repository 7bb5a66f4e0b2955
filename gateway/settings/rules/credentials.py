"""Upstream credentials: where they may go, and secrets that were never chosen."""

from collections.abc import Iterator
from typing import Final

from pydantic import TypeAdapter, ValidationError

from gateway.core.errors import Problem
from gateway.credentials.captured.model import Captured
from gateway.credentials.model import Credential, Header, Hmac, Query, SignedJwt
from gateway.settings.rules.draft import Draft
from gateway.upstream.owned import FRAMING, HOP_BY_HOP, OWNED, Names

TAKEN: Final = Names(HOP_BY_HOP | FRAMING | OWNED | {b"cookie", b"set-cookie"})


def check(draft: Draft) -> Iterator[Problem]:
    adapter: TypeAdapter[Credential] = TypeAdapter(Credential)
    for name in draft.names("credentials"):
        path = ("credentials", name)
        try:
            credential = adapter.validate_python(draft.value(*path))
        except ValidationError:
            continue
        if isinstance(credential, Header) and credential.name.lower().encode("ascii") in TAKEN:
            hint = "use `inject: cookie` for cookies"
            yield draft.error(
                (*path, "name"), "only the gateway itself sets this header", hint if "ookie" in credential.name else ""
            )
        if isinstance(credential, Hmac):
            for field in credential.headers:
                if field.lower().encode("ascii") in TAKEN:
                    yield draft.error((*path, "headers", field), "only the gateway itself sets this header", key=True)
        if isinstance(credential, SignedJwt) and credential.header.lower().encode("ascii") in TAKEN:
            yield draft.error((*path, "header"), "only the gateway itself sets this header")
        if isinstance(credential, Captured):
            yield from _placed(draft, path, credential)
        if isinstance(credential, Query):
            hint = "prefer a header where the upstream takes one"
            yield draft.warning((*path, "inject"), "a credential in the query ends in the upstream's access logs", hint)


def _placed(draft: Draft, path: tuple[str, ...], credential: Captured) -> Iterator[Problem]:
    for key, name in (("header", credential.header), ("sent_in", credential.sent_in)):
        if name is not None and name.lower().encode("ascii") in TAKEN:
            yield draft.error((*path, key), "only the gateway itself sets this header")
