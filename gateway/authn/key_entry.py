"""What is stored of an API key, whatever it is stored in: who it stands for, where it counts and until when. Never the key.

Pure values: no file, no database, no clock.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, ValidationError

from gateway.authn import key_format
from gateway.config.values import Model, Network
from gateway.core.errors import ConfigError, Problem

TIME: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
ID: Final = r"^[0-9A-Za-z]{12}$"

State = Literal["live", "replaced", "expired", "revoked"]
"""`replaced`: another one took its place, and it counts until the overlap ends."""


def printable(text: str) -> str:
    """Raises ValueError for control, format and private characters: a file that holds them could not be read again."""
    if not text.isprintable():
        raise ValueError("has characters that cannot be shown")
    return text


def real(text: str) -> str:
    """Raises ValueError for a time that no calendar has."""
    try:
        moment(text)
    except ValueError as error:
        raise ValueError("no such day or time") from error
    return text


Id = Annotated[str, Field(pattern=ID)]
Text = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(printable)]
Word = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[!-~]+$")]
Time = Annotated[str, Field(pattern=TIME), AfterValidator(real)]


class KeyEntry(Model):
    """One key: who it stands for, where it counts and until when. Times are UTC, like 2027-01-31T12:00:00Z.

    `routes` are exact names or globs, `addresses` networks of clients; None means any, an empty list none at all.
    """

    id: Id
    name: Text
    hash: Annotated[str, Field(pattern=f"^{key_format.HASH.pattern}$")]
    subject: Text
    description: Annotated[str, Field(max_length=1024), AfterValidator(printable)] | None = None
    roles: list[Text] | None = None
    permissions: list[Word] | None = None
    routes: Annotated[list[Word], Field(max_length=64)] | None = None
    addresses: Annotated[list[Network], Field(max_length=64)] | None = None
    created_at: Time | None = None
    expires_at: Time | None = None
    revoked_at: Time | None = None
    replaced_by: Id | None = None
    replaces: Id | None = None


def new_entry(
    pepper: bytes,
    *,
    prefix: str,
    name: str,
    now: float,
    subject: str | None = None,
    description: str | None = None,
    roles: Sequence[str] | None = None,
    permissions: Sequence[str] | None = None,
    routes: Sequence[str] | None = None,
    addresses: Sequence[str] | None = None,
    expires: float | None = None,
) -> tuple[str, KeyEntry]:
    """A key (shown once and never stored) and its entry. `expires` is seconds from `now`.

    Raises ConfigError when a value is not acceptable.
    """
    id, key = key_format.generate(prefix)
    try:
        entry = KeyEntry.model_validate(
            {
                "id": id,
                "name": name,
                "hash": key_format.digest(pepper, key.encode()),
                "subject": subject or name,
                "description": description,
                "roles": roles,
                "permissions": permissions,
                "routes": routes,
                "addresses": addresses,
                "created_at": written(now),
                "expires_at": written(now + expires) if expires is not None else None,
            }
        )
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise ConfigError([Problem("", 0, 0, ".".join(map(str, each["loc"])), each["msg"]) for each in details]) from error
    return key, entry


def revoked(entry: KeyEntry, now: float) -> KeyEntry:
    """The entry taken back, at once and for good."""
    return entry if entry.revoked_at else entry.model_copy(update={"revoked_at": written(now)})


def rotated(old: KeyEntry, pepper: bytes, *, prefix: str, now: float, overlap: float) -> tuple[str, KeyEntry, KeyEntry]:
    """A second key for the same purpose: the key, its entry, and the old entry, which counts for `overlap` seconds more at most.

    Raises KeyError for a key that does not count any more, and ValueError for one that was rotated already: of two who do so at
    once one must learn that.
    """
    if old.replaced_by is not None:
        raise ValueError(f"{old.id} was rotated already: {old.replaced_by} is its successor")
    if state(old, now) != "live":
        raise KeyError(old.id)
    key, entry = new_entry(pepper, prefix=prefix, name=old.name, now=now, subject=old.subject)
    kept = {name: getattr(old, name) for name in ("description", "roles", "permissions", "routes", "addresses")}
    life = moment(old.expires_at) - moment(old.created_at) if old.expires_at and old.created_at else None
    ends = written(now + life) if life is not None else old.expires_at
    entry = entry.model_copy(update={**kept, "expires_at": ends, "replaces": old.id})
    end = now + overlap if old.expires_at is None else min(now + overlap, moment(old.expires_at))
    return key, entry, old.model_copy(update={"expires_at": written(end), "replaced_by": entry.id})


def state(entry: KeyEntry, now: float) -> State:
    """What became of a key."""
    if entry.revoked_at is not None:
        return "revoked"
    if entry.expires_at is not None and moment(entry.expires_at) <= now:
        return "expired"
    return "live" if entry.replaced_by is None else "replaced"


def written(time: float) -> str:
    """Unix seconds -> 2027-01-31T12:00:00Z."""
    return datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> float:
    """2027-01-31T12:00:00Z -> Unix seconds. Raises ValueError."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
