"""One secret out of what a service answers: text, or a field of a JSON object."""

from typing import Any

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.credentials.answer import object_of
from gateway.credentials.sources.source import Gone
from gateway.credentials.vault.sizes import MAX_SECRET


def picked(content: bytes, field: str | None, host: str) -> Secret:
    """The content, or the field of the JSON object that it is. Raises Gone and DependencyDown, without any of it."""
    if field is None:
        return bounded(content, host)
    members = object_of(content)
    if members is None:
        raise Gone(f"{host}: the secret is not a JSON object, so it has no field '{field}'")
    return of_field(members, field, host)


def of_field(members: dict[str, Any], field: str, host: str) -> Secret:
    """The text of a field. Raises Gone and DependencyDown."""
    value = members.get(field)
    if not isinstance(value, str):
        raise Gone(f"{host}: the secret has no field '{field}' that is text")
    return bounded(value.encode("utf-8", "surrogatepass"), host)


def bounded(content: bytes, host: str) -> Secret:
    """Raises Gone for nothing, DependencyDown for more than a secret may be."""
    if not content:
        raise Gone(f"{host}: the secret is empty")
    if len(content) > MAX_SECRET:
        raise DependencyDown(f"{host}: the secret is larger than {MAX_SECRET // 1024} KiB")
    return Secret(content)
