"""Raw sensitive bytes that cannot be printed by accident."""

import hmac
from typing import NoReturn, final


@final
class Secret:
    """A secret value. `reveal()` is the one greppable way out; everything else shows a mask."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The raw bytes. Each call site is a place to review."""
        return self._value

    def matches(self, other: bytes) -> bool:
        """Constant-time comparison."""
        return hmac.compare_digest(self._value, other)

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(Secret)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __len__(self) -> int:
        return len(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")
