"""The vault of a configuration: its key ring, and the entries of `sealed:`, all opened at load.

A key that is missing or wrong and a value that does not open are found at start and at each reload, at their places.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.config import shape
from gateway.config.document import Steps
from gateway.config.layers import Layers
from gateway.config.secrets import Secrets
from gateway.config.validation import suggest, validate
from gateway.config.values import EnvSecret, FileSecret
from gateway.core.errors import DependencyDown, Problem
from gateway.core.ports import SecretSource
from gateway.credentials.vault import text
from gateway.credentials.vault.fault import Fault, NotOpened
from gateway.credentials.vault.model import REVOKED, Key, Vault
from gateway.credentials.vault.place import entry as place
from gateway.credentials.vault.sealed import Entry, SealedSource
from gateway.settings.keys import elsewhere, place_of, speaker
from gateway.settings.stored import Stored

if TYPE_CHECKING:
    from gateway.credentials.vault.keys import KeyEncryption
    from gateway.credentials.vault.ring import Ring
    from gateway.store.sql.texts import Tally

KEYS: Steps = ("vault", "keys")


class Opened:
    """What a configuration has sealed: `entries` by name, `problems` with them and the keys. `ring` is None without usable keys.

    `stored` knows those whose home is the database; None where there is no database.
    """

    stored: Stored | None = None
    tally: "Mapping[str, Sequence[Tally]]"
    """How many texts of each table each key seals, as the database was last asked."""

    def __init__(self, source: Layers, secrets: Secrets, now: Callable[[], float]) -> None:
        self.problems: list[Problem] = []
        self.tally = {}
        self._now = now
        self._down: set[str] = set()
        given = shape.item(source.value, "vault") is not None
        self.model: Vault | None = validate(Vault, source, ("vault",))[0] if given else None
        self.ring = _Keys(source, secrets, self.problems).ring(self.model, now) if self.model is not None else None
        self.entries = {name: self._entry(source, name, value) for name, value in _entries(source.value).items()}
        if self.entries and not given:
            hint = "add `vault: {keys: [{id: …, env: …}]}`; `gateway secrets key` makes a key"
            self.problems.append(source.problem(("sealed",), "sealed values need the keys they are sealed under", hint, key=True))
        self.problems += self._old(source, now())

    def __call__(self, name: str) -> SecretSource:
        """The source of a sealed value: of the configuration, else of the database. Raises ValueError where there is none, or it
        does not open."""
        entry = self.entries.get(name)
        if entry is None and self.stored is not None and (found := self.stored(name)) is not None:
            return found
        if entry is None:
            near = suggest(name, list(self.entries))
            hint = near if near.startswith("did you mean") else f"`gateway secrets seal {name}` seals it"
            raise ValueError(f"nothing is sealed under the name '{name}': {hint}")
        if entry.source is None:
            raise ValueError(f"the sealed value '{name}' does not open")
        return entry.source

    @property
    def refused(self) -> Mapping[str, Fault]:
        """Entries whose text is to blame that they do not open: altered, moved, or under another key."""
        found = {name: entry.fault for name, entry in self.entries.items() if entry.fault is not None}
        return found if self.stored is None else {**self.stored.faults, **found}

    def overdue(self, now: float) -> list[str]:
        """Names of what was sealed longer ago than `rotate_after`."""
        after = self.model.rotate_after if self.model is not None else 0.0
        return [name for name, entry in self.entries.items() if after and entry.overdue(now, after)]

    def count_overdue(self, now: float) -> int:
        """How many of them, and of what lies in the database."""
        return len(self.overdue(now)) + sum(each.overdue for found in self.tally.values() for each in found)

    def status(self) -> dict[str, Any]:
        """For the operators' port; nothing without a vault."""
        if self.ring is None:
            return {}
        told = {"keys": list(self.ring.ids), "sealed": len(self.entries), "overdue": self.count_overdue(self._now())}
        stored = {table: {each.key_id: each.count for each in found} for table, found in self.tally.items()}
        return {"vault": {**told, "stored": stored} if stored else told}

    def _entry(self, source: Layers, name: str, written: Any) -> Entry:
        if written == REVOKED:
            return Entry(name, "", 0, SealedSource(name, None))
        try:
            value = text.value(written if isinstance(written, str) else "")
        except NotOpened:  # told where the settings are validated
            return Entry(name, "", 0)
        return self._opened(source, name, written, value)

    def _opened(self, source: Layers, name: str, written: str, value: text.Value) -> Entry:
        if self.ring is None or value.key_id in self._down:
            return Entry(name, value.key_id, value.sealed_at)  # told with the keys, or with the first entry that waited in vain
        try:
            opened = self.ring.open(place(name), written)
        except NotOpened as error:
            hint = "add that key to `vault.keys`" if error.fault is Fault.UNKNOWN_KEY else "seal it anew: `gateway secrets seal`"
            self.problems.append(source.problem(("sealed", name), f"does not open: {error}", hint))
            return Entry(name, value.key_id, value.sealed_at, fault=error.fault)
        except DependencyDown as error:
            self._down.add(value.key_id)
            self.problems.append(source.problem(("sealed", name), f"cannot be opened now: {error.detail}"))
            return Entry(name, value.key_id, value.sealed_at)
        return Entry(name, value.key_id, value.sealed_at, SealedSource(name, opened.secret))

    def _old(self, source: Layers, now: float) -> Iterator[Problem]:
        for name in self.overdue(now):
            days = int(now - self.entries[name].sealed_at) // 86400
            hint = "put a new key in front (`gateway secrets key`), then `gateway secrets rotate`"
            yield source.problem(("sealed", name), f"was sealed {days} days ago", hint, severity="warning")


class _Keys:
    """The keys of `vault.keys`, their problems noted."""

    def __init__(self, source: Layers, secrets: Secrets, problems: list[Problem]) -> None:
        self._source = source
        self._secrets = secrets
        self._problems = problems
        self._speaking = speaker()

    def ring(self, model: Vault, now: Callable[[], float]) -> "Ring | None":
        """None where one of them cannot be used: a ring that lacks a key would refuse what is in order."""
        from gateway.credentials.vault.ring import Ring

        ids = [key.id for key in model.keys]
        for number, id in enumerate(ids):
            if id in ids[:number]:
                self._note((number, "id"), f"the id '{id}' is used twice")
        keys = [self._key(number, key) for number, key in enumerate(model.keys)]
        usable = [key for key in keys if key is not None]
        return Ring(usable, now) if len(usable) == len(set(ids)) == len(ids) else None

    def _key(self, number: int, model: Key) -> "KeyEncryption | None":
        try:
            return elsewhere(model, self._secrets, self._speaking) or self._local(number, model)
        except ValueError as error:
            self._note((number, place_of(model)), str(error))
            return None

    def _local(self, number: int, model: Key) -> "KeyEncryption | None":
        from gateway.credentials.vault.keys import LocalKey

        kind, reference = _reference(model)
        try:
            key = LocalKey(model.id, self._secrets(reference).current())
        except ValueError as error:
            self._note((number, kind), str(error))
            return None
        if self._secrets.exposed(reference):
            self._note((number, kind), "the file is readable by everybody", "chmod 640", severity="warning")
        return key

    def _note(self, at: Steps, message: str, hint: str = "", *, severity: str = "error") -> None:
        self._problems.append(self._source.problem((*KEYS, *at), message, hint, severity=severity))


def _reference(model: Key) -> tuple[str, EnvSecret | FileSecret]:
    if model.env is not None:
        return "env", EnvSecret(env=model.env)
    return "file", FileSecret(file=model.file or Path())


def _entries(value: Any) -> dict[str, Any]:
    found = shape.item(value, "sealed")
    return {name: text for name, text in found.items() if isinstance(name, str)} if isinstance(found, dict) else {}
