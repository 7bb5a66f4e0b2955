"""Every secret reference of a configuration, followed at load: a missing or weak secret is found at start, not by a request."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from pydantic import ValidationError

from gateway.authn.strength import HMAC_BYTES, weakness
from gateway.config import shape
from gateway.config.document import Steps
from gateway.config.layers import Layers
from gateway.config.secrets import Secrets
from gateway.config.values import REFERENCES, Reference, SealedSecret, secret_kind
from gateway.core.errors import DependencyDown, Problem
from gateway.credentials.stored.source import REVOKED
from gateway.credentials.vault.sealed import Entry
from gateway.settings.model import Settings

TOKEN_BYTES: Final = 16
PLACEHOLDERS: Final = frozenset(
    {b"changeme", b"change-me", b"change_me", b"placeholder", b"replace-me", b"secret", b"password", b"todo", b"xxx"}
)


def follow(source: Layers, secrets: Secrets, sealed: Mapping[str, Entry]) -> Iterator[Problem]:
    """Read every secret once; what is missing, weak or readable by everybody, and what is sealed and used by nothing."""
    used = set()
    for path, reference in references(source):
        if isinstance(reference, SealedSecret):
            used.add(reference.sealed)
            if reference.sealed in sealed and sealed[reference.sealed].source is None:
                continue  # told at the entry
        try:
            value = secrets(reference).current().reveal()
        except ValueError as error:
            yield source.problem(path, str(error))
            continue
        except DependencyDown as error:
            yield _unavailable(source, path, error.detail)
            continue
        if wrong := _weak(source, path, value):
            yield source.problem(path, f"the secret {wrong}", "generate one, e.g. `openssl rand -base64 32`")
        if secrets.exposed(reference):
            yield source.problem(path, "the file is readable by everybody", "chmod 640", severity="warning")

    for name in sealed:
        if name not in used:
            yield source.problem(("sealed", name), f"sealed value '{name[:80]}' is used by nothing", key=True, severity="warning")


def _unavailable(source: Layers, path: Steps, why: str) -> Problem:
    """A credential that was revoked, or whose home is away, stops the requests that need it; anything else stops the gateway."""
    revoked = why.endswith(f": {REVOKED}")
    message = "the secret was revoked" if revoked else f"the secret {why.partition(': ')[2]}"
    hint = "seal another: `gateway secrets seal`" if revoked else "see that the database, or the service that has it, answers"
    if path[0] == "credentials":
        return source.problem(path, message, f"requests that need it are answered 503; {hint}", severity="warning")
    return source.problem(path, message, hint)


def sealed_elsewhere(source: Layers, sealed: Mapping[str, Entry]) -> list[str]:
    """The names that references to sealed values give and the configuration does not hold, but for what opens the database."""
    found = {
        reference.sealed: None
        for path, reference in references(source)
        if isinstance(reference, SealedSecret) and reference.sealed not in sealed and path[0] != "database"
    }
    return list(found)


def references(source: Layers) -> Iterator[tuple[Steps, Reference]]:
    """Every well-formed secret reference of the data, with its place."""
    for path, value in shape.mappings(Settings, source.value, set(REFERENCES.values())):
        kind = secret_kind(value)
        with suppress(ValidationError):
            if kind is not None:
                yield path, kind.model_validate(value)


def _weak(source: Layers, path: Steps, value: bytes) -> str:
    """Why a secret is refused where it stands, "" when it is not."""
    match path:
        case ("authentication", "jwt", _, "secret"):
            return weakness(value, _hmac_bytes(source, path))
        case ("authentication", "api_keys", "pepper") | ("authentication", "sessions", "key"):
            return weakness(value)
        case ("admin", "token"):
            return weakness(value, TOKEN_BYTES)
        case ("credentials", *_) if value.strip().lower() in PLACEHOLDERS:
            return "is a placeholder"
    return ""


def _hmac_bytes(source: Layers, path: Steps) -> int:
    algorithms = source.value
    for step in (*path[:-1], "algorithms"):
        algorithms = shape.item(algorithms, step)
    named = algorithms if isinstance(algorithms, list) else []
    return max((HMAC_BYTES.get(name, 0) for name in named if isinstance(name, str)), default=0) or HMAC_BYTES["HS256"]
