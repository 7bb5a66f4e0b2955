"""One operator's account: what is kept of it, and what others may see."""

import json
import re
import secrets
import unicodedata
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Literal

Role = Literal["viewer", "operator"]
ROLES: Final = ("viewer", "operator")
"""What each may, is in `admin.places`; a later one may all that an earlier one may."""
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}")
ANYBODY: Final = "?"
"""What a name is called that nobody can have."""


@dataclass(frozen=True, slots=True)
class Key:
    """A security key: what it is called, its credential (WebAuthn 6.5.1, base64url), its signature counter, when it was added."""

    name: str
    data: str
    count: int
    added_at: float


@dataclass(frozen=True, slots=True)
class Account:
    """`hash` and `history` are argon2id in PHC form, or an imported bcrypt; `stamp` changes with whatever ends its sessions.

    `totp` and `pending` are sealed seeds, the second not confirmed yet; `step` is the last time step whose code was used;
    `recovery` are digests of codes; `asked_at` is when the challenge was made that a key answered last, in microseconds. Times are
    Unix time.
    """

    name: str
    role: Role
    hash: str
    stamp: str
    changed_at: float
    created_at: float
    created_by: str
    disabled: bool = False
    must_change: bool = False
    history: tuple[str, ...] = ()
    totp: str = ""
    pending: str = ""
    step: int = 0
    recovery: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    asked_at: int = 0

    @property
    def factors(self) -> list[str]:
        """What proves it beside the password; none where the password is enough."""
        found = [*(["totp"] if self.totp else []), *(["webauthn"] if self.keys else [])]
        return [*found, "recovery"] if found and self.recovery else found

    def renewed(self, **changes: Any) -> "Account":
        """The same with changes that end its sessions."""
        return replace(self, stamp=secrets.token_hex(8), **changes)

    def shown(self) -> dict[str, Any]:
        """For operators: no hash, no seed, no code."""
        return {
            "name": self.name,
            "role": self.role,
            "disabled": self.disabled,
            "must_change": self.must_change,
            "factors": self.factors,
            "keys": [key.name for key in self.keys],
            "recovery_codes": len(self.recovery),
            "imported": self.hash.startswith("$2"),
            "changed_at": int(self.changed_at),
            "created_at": int(self.created_at),
            "created_by": self.created_by,
        }


def made(name: str, role: Role, encoded: str, now: float, by: str, *, must_change: bool) -> Account:
    """A new account."""
    return Account(name, role, encoded, secrets.token_hex(8), now, now, by, must_change=must_change)


def canonical(written: str) -> str:
    """A name as it is kept, however it is written; ANYBODY for what no account is called."""
    if len(written) > 128:
        return ANYBODY
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", written).casefold()).strip()
    return name if NAME.fullmatch(name) else ANYBODY


def dump(account: Account) -> str:
    """As it is stored."""
    return json.dumps(asdict(account), separators=(",", ":"), sort_keys=True)


def load(body: str) -> Account:
    """What `dump` gave. Raises ValueError for what another version of this program wrote."""
    found = json.loads(body)
    if not isinstance(found, dict) or found.keys() - {each.name for each in fields(Account)} or found.get("role") not in ROLES:
        raise ValueError("another version of this program wrote it")
    try:
        keys = tuple(Key(**each) for each in found.get("keys", ()))
        return Account(**found | {name: tuple(found.get(name, ())) for name in ("history", "recovery")} | {"keys": keys})
    except TypeError as error:
        raise ValueError("another version of this program wrote it") from error
