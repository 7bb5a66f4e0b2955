"""Every secret reference of a configuration, followed at load: a missing or weak secret is found at start, not by a request."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from pydantic import ValidationError

from gateway.authn.strength import HMAC_BYTES, weakness
from gateway.config import shape
from gateway.config.document import Steps
from gateway.config.layers import Layers
from gateway.config.secrets import Secrets
from gateway.config.values import EnvSecret, FileSecret
from gateway.core.errors import Problem
from gateway.settings.model import Settings

TOKEN_BYTES: Final = 16
PLACEHOLDERS: Final = frozenset(
    {b"changeme", b"change-me", b"change_me", b"placeholder", b"replace-me", b"secret", b"password", b"todo", b"xxx"}
)


def follow(source: Layers, secrets: Secrets) -> Iterator[Problem]:
    """Read every secret once; what is missing, weak or readable by everybody."""
    for path, reference in references(source):
        try:
            value = secrets(reference).current().reveal()
        except ValueError as error:
            yield source.problem(path, str(error))
            continue
        if wrong := _weak(source, path, value):
            yield source.problem(path, f"the secret {wrong}", "generate one, e.g. `openssl rand -base64 32`")
        if secrets.exposed(reference):
            yield source.problem(path, "the file is readable by everybody", "chmod 640", severity="warning")


def references(source: Layers) -> Iterator[tuple[Steps, EnvSecret | FileSecret]]:
    """Every well-formed secret reference of the data, with its place."""
    for path, value in shape.mappings(Settings, source.value, {EnvSecret, FileSecret}):
        kind = EnvSecret if "env" in value else FileSecret
        with suppress(ValidationError):
            yield path, kind.model_validate(value)


def _weak(source: Layers, path: Steps, value: bytes) -> str:
    """Why a secret is refused where it stands, "" when it is not."""
    match path:
        case ("authentication", "jwt", _, "secret"):
            return weakness(value, _hmac_bytes(source, path))
        case ("authentication", "api_keys", "pepper"):
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
