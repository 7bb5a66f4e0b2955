"""Compiled conditions on their way to another process of this gateway.

Functions of the language travel by their names, and named sets of addresses, which many conditions share and which may be large,
by their number in a list beside them. Both ends are one version; what travels is as trusted as the code itself.
"""

import io
import pickle
from typing import Any, Final

from gateway.authz.cel.functions import FUNCTIONS
from gateway.authz.cel.networks import AddressSet

Name = tuple[str, Any]
NAMES: Final[dict[int, Name]] = {id(function.call): ("call", name) for name, function in FUNCTIONS.items()} | {
    id(function): ("function", name) for name, function in FUNCTIONS.items()
}


class Shared:
    """The sets of addresses of one parcel, each once."""

    __slots__ = ("_numbers", "sets")

    def __init__(self, sets: list[AddressSet] | None = None) -> None:
        self.sets = sets or []
        self._numbers = {id(one): number for number, one in enumerate(self.sets)}

    @classmethod
    def of(cls, content: bytes | memoryview) -> "Shared":
        """What has this `content`."""
        return cls(pickle.loads(content))  # noqa: S301  made by `content`, in a process of this gateway

    def content(self) -> bytes:
        """The sets, once everything is dumped that refers to them."""
        return pickle.dumps(self.sets)

    def dump(self, value: Any) -> bytes:
        out = io.BytesIO()
        _Pickler(out, self).dump(value)
        return out.getvalue()

    def load(self, content: bytes | memoryview) -> Any:
        """What `dump` took, in a process of this gateway."""
        return _Unpickler(io.BytesIO(content), self).load()

    def name(self, value: Any) -> Name | None:
        """What travels in the value's place, None where it travels itself."""
        if type(value) is not AddressSet:
            return NAMES.get(id(value))
        number = self._numbers.setdefault(id(value), len(self.sets))
        if number == len(self.sets):
            self.sets.append(value)
        return "set", number

    def named(self, name: Name) -> Any:
        kind, key = name
        if kind == "set":
            return self.sets[key]
        return FUNCTIONS[key] if kind == "function" else FUNCTIONS[key].call


class _Pickler(pickle.Pickler):
    """The library asks by a method of its own class."""

    def __init__(self, out: io.BytesIO, shared: Shared) -> None:
        super().__init__(out)
        self._shared = shared

    def persistent_id(self, obj: Any) -> Name | None:
        return self._shared.name(obj)


class _Unpickler(pickle.Unpickler):
    """As the other one."""

    def __init__(self, content: io.BytesIO, shared: Shared) -> None:
        super().__init__(content)
        self._shared = shared

    def persistent_load(self, pid: Name) -> Any:
        return self._shared.named(pid)
