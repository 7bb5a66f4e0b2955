"""The functions of strings, counted in code points (CEL's strings extension). Each takes values of any type and looks."""

from typing import Any, Final

from gateway.authz.cel.errors import EvaluationError
from gateway.authz.cel.limits import MAX_ITEMS, MAX_TEXT

# Unicode's White_Space; Python's own idea of it has four control characters more.
SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
UPPER: Final = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}


def text(value: Any) -> str:
    """The value, which must be a string that functions take."""
    if not isinstance(value, str):
        raise EvaluationError("not a string")
    if len(value) > MAX_TEXT:
        raise EvaluationError(f"a string has more than {MAX_TEXT} characters")
    return value


def _int(value: Any) -> int:
    if type(value) is int:
        return value
    raise EvaluationError("not an int")


def starts_with(value: Any, prefix: Any) -> bool:
    """`value.startsWith(prefix)`."""
    return text(value).startswith(text(prefix))


def ends_with(value: Any, suffix: Any) -> bool:
    """`value.endsWith(suffix)`."""
    return text(value).endswith(text(suffix))


def contains(value: Any, part: Any) -> bool:
    """`value.contains(part)`."""
    return text(part) in text(value)


def lower_ascii(value: Any) -> str:
    """`value.lowerAscii()`: A to Z only."""
    found = text(value)
    return found.lower() if found.isascii() else found.translate(LOWER)


def upper_ascii(value: Any) -> str:
    """`value.upperAscii()`: a to z only."""
    found = text(value)
    return found.upper() if found.isascii() else found.translate(UPPER)


def trim(value: Any) -> str:
    """`value.trim()`: without white space at both ends."""
    return text(value).strip(SPACE)


def split(value: Any, separator: Any, limit: Any = -1) -> list[str]:
    """`value.split(separator)`; at most `limit` parts, all of them when it is negative."""
    whole, mark, most = text(value), text(separator), _int(limit)
    if most == 0:
        return []
    if most == 1:
        return [whole]
    if not mark:
        return _characters(whole, most)
    parts = whole.split(mark, min(most - 1, MAX_ITEMS) if most > 0 else MAX_ITEMS)
    if len(parts) > MAX_ITEMS:
        raise EvaluationError("the list becomes too long")
    return parts


def _characters(whole: str, most: int) -> list[str]:
    """Split between all characters; the last part is the rest."""
    if min(len(whole), most if most > 0 else len(whole)) > MAX_ITEMS:
        raise EvaluationError("the list becomes too long")
    if most < 0 or most >= len(whole):
        return list(whole) or [""]
    return [*whole[: most - 1], whole[most - 1 :]]


def replace(value: Any, old: Any, new: Any, limit: Any = -1) -> str:
    """`value.replace(old, new)`; at most `limit` times, always when it is negative."""
    whole, before, after, most = text(value), text(old), text(new), _int(limit)
    times = whole.count(before) if most < 0 else min(whole.count(before), most)
    if len(whole) + times * (len(after) - len(before)) > MAX_TEXT:
        raise EvaluationError("the string becomes too long")
    return whole.replace(before, after, times)


def substring(value: Any, start: Any, *ends: Any) -> str:
    """`value.substring(start)`, `value.substring(start, end)`: from `start` to before `end`."""
    whole = text(value)
    first, last = _int(start), _int(ends[0]) if ends else len(whole)
    if not 0 <= first <= last <= len(whole):
        raise EvaluationError("outside the string")
    return whole[first:last]


def char_at(value: Any, place: Any) -> str:
    """`value.charAt(place)`; "" right behind the end."""
    whole, index = text(value), _int(place)
    if not 0 <= index <= len(whole):
        raise EvaluationError("outside the string")
    return whole[index : index + 1]


def index_of(value: Any, part: Any, start: Any = 0) -> int:
    """`value.indexOf(part)`, from `start` on; -1 where there is none."""
    whole, index = text(value), _int(start)
    if not 0 <= index <= len(whole):
        raise EvaluationError("outside the string")
    return whole.find(text(part), index)


def last_index_of(value: Any, part: Any, *starts: Any) -> int:
    """`value.lastIndexOf(part)`, beginning at `start` or before; -1 where there is none."""
    whole, sought = text(value), text(part)
    index = _int(starts[0]) if starts else len(whole)
    if not 0 <= index <= len(whole):
        raise EvaluationError("outside the string")
    return whole.rfind(sought, 0, index + len(sought))


def join(value: Any, separator: Any = "") -> str:
    """`list.join(separator)`."""
    mark = text(separator)
    if not isinstance(value, list | tuple) or len(value) > MAX_ITEMS:
        raise EvaluationError("not a list of strings, or too long")
    parts = [text(part) for part in value]
    if sum(map(len, parts)) + len(mark) * len(parts) > MAX_TEXT:
        raise EvaluationError("the string becomes too long")
    return mark.join(parts)
