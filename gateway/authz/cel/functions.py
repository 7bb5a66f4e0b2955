"""The functions a condition may call: one entry a function. Whatever is not here is refused at load.

A function to come is a row here and, where it must be as fast as an operator, one in `codegen.INLINE`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.authz.cel import addresses, calendar, conversions, operations, patterns, strings
from gateway.authz.cel.limits import REPLACING, SCALE, SEARCHING
from gateway.authz.cel.networks import Network
from gateway.authz.cel.types import (
    ADDRESS,
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NETWORK,
    SET,
    STRING,
    TIMESTAMP,
    Type,
    list_of,
    map_of,
)

LIST: Final = list_of(DYN)
TEXTS: Final = list_of(STRING)
MAP: Final = map_of(DYN)


@dataclass(frozen=True, slots=True)
class Overload:
    """One way to call a function: the types of its arguments, the target of a method first, and of its result."""

    parameters: tuple[Type, ...]
    result: Type


@dataclass(frozen=True, slots=True)
class Function:
    """What the checker and the code generator know of a function.

    `prepared` says which arguments are literals and what is made of them at load: a pattern, a zone. Calls with constants
    alone run at load. At load, ValueError is a load error. `weight` is the cost in units of a tenth of a microsecond; `sized`
    says how that grows with texts, by one for every 2**sized characters, or not at all for 0. `ours` marks what CEL has not.
    """

    name: str
    overloads: tuple[Overload, ...]
    call: Callable[..., Any]
    about: str = ""
    method: bool = True
    plain: bool = False
    prepared: Mapping[int, Callable[[Any], Any]] = field(default_factory=dict)
    weight: int = 5
    sized: int = 0
    ours: bool = False
    origin: str = "CEL"


def _overloads(result: Type, *parameters: tuple[Type, ...]) -> tuple[Overload, ...]:
    return tuple(Overload(found, result) for found in parameters)


def _string(
    name: str, call: Callable[..., Any], result: Type, *more: tuple[Type, ...], about: str = "", sized: int = SCALE
) -> Function:
    """A method of strings; each of `more` is what one way of calling it takes beside the string."""
    overloads = _overloads(result, *((STRING, *parameters) for parameters in more or ((),)))
    return Function(name, overloads, call, about, sized=sized, origin="CEL strings extension")


def _conversion(name: str, call: Callable[..., Any], result: Type, *sources: Type, about: str = "") -> Function:
    return Function(name, _overloads(result, *((source,) for source in sources)), call, about, method=False, plain=True, weight=20)


def _accessor(name: str, about: str, *, durations: bool = False) -> Function:
    overloads = _overloads(INT, (TIMESTAMP,), (TIMESTAMP, STRING), *(((DURATION,),) if durations else ()))
    return Function(name, overloads, calendar.accessor(name), about, prepared={1: calendar.zone}, weight=30)


def _kubernetes(
    name: str, call: Callable[..., Any], result: Type, *parameters: tuple[Type, ...], about: str = "", plain: bool = False
) -> Function:
    overloads = _overloads(result, *parameters)
    return Function(name, overloads, call, about, method=not plain, plain=plain, weight=15, origin="Kubernetes")


def search(value: Any, pattern: patterns.Pattern) -> bool:
    """`value.matches('…')`, `glob(value, '…')`."""
    return pattern.test(value)


# A name with a dot before it is a method that has a function as namesake; one with a dot inside is written that way.
FUNCTIONS: Final[Mapping[str, Function]] = {
    function.name: function
    for function in (
        Function(
            "size",
            _overloads(INT, (STRING,), (LIST,), (MAP,)),
            operations.size,
            "characters of a string, items of a list, entries of a map",
            plain=True,
        ),
        Function("startsWith", _overloads(BOOL, (STRING, STRING)), strings.starts_with, "begins with the other string"),
        Function("endsWith", _overloads(BOOL, (STRING, STRING)), strings.ends_with, "ends with the other string"),
        Function(
            "contains", _overloads(BOOL, (STRING, STRING)), strings.contains, "the other string is a part of it", sized=SEARCHING
        ),
        Function(
            "matches",
            _overloads(BOOL, (STRING, STRING)),
            search,
            "a part of it fits a regular expression (RE2); the pattern is a literal",
            plain=True,
            prepared={1: patterns.expression},
            weight=30,
            sized=3,
        ),
        _string("lowerAscii", strings.lower_ascii, STRING, about="A to Z as a to z, nothing else"),
        _string("upperAscii", strings.upper_ascii, STRING, about="a to z as A to Z, nothing else"),
        _string("trim", strings.trim, STRING, about="without white space at both ends"),
        _string(
            "split",
            strings.split,
            TEXTS,
            (STRING,),
            (STRING, INT),
            about="parts between separators, at most so many",
            sized=SEARCHING,
        ),
        Function(
            "join",
            _overloads(STRING, (TEXTS,), (TEXTS, STRING)),
            strings.join,
            "the strings of a list in one, with a separator between",
            sized=6,
            origin="CEL strings extension",
        ),
        _string(
            "replace", strings.replace, STRING, (STRING, STRING), (STRING, STRING, INT), about="with other text", sized=REPLACING
        ),
        _string("substring", strings.substring, STRING, (INT,), (INT, INT), about="from the first place to before the second"),
        _string("charAt", strings.char_at, STRING, (INT,), about="one character"),
        _string(
            "indexOf", strings.index_of, INT, (STRING,), (STRING, INT), about="the first place of a text, or -1", sized=SEARCHING
        ),
        _string(
            "lastIndexOf",
            strings.last_index_of,
            INT,
            (STRING,),
            (STRING, INT),
            about="the last place of a text, or -1",
            sized=SEARCHING,
        ),
        _conversion("int", conversions.integer, INT, INT, DOUBLE, STRING, TIMESTAMP, about="decimal text; doubles toward zero"),
        _conversion("double", conversions.double, DOUBLE, DOUBLE, INT, STRING, about="decimal text, an int"),
        _conversion("string", conversions.string, STRING, STRING, INT, BOOL, ADDRESS, NETWORK, about="not of doubles and times"),
        _conversion("bool", conversions.boolean, BOOL, BOOL, STRING, about="1 t true TRUE True, 0 f false FALSE False"),
        _conversion("timestamp", conversions.timestamp, TIMESTAMP, STRING, INT, TIMESTAMP, about="RFC 3339 text, Unix seconds"),
        _conversion("duration", conversions.duration, DURATION, STRING, DURATION, about="`90s`, `1h30m`, `-1.5s`"),
        _accessor("getFullYear", "the year"),
        _accessor("getMonth", "the month, from 0"),
        _accessor("getDate", "the day of the month, from 1"),
        _accessor("getDayOfMonth", "the day of the month, from 0"),
        _accessor("getDayOfWeek", "the day of the week, Sunday is 0"),
        _accessor("getDayOfYear", "the day of the year, from 0"),
        _accessor("getHours", "the hour; all hours of a duration", durations=True),
        _accessor("getMinutes", "the minute; all minutes of a duration", durations=True),
        _accessor("getSeconds", "the second; all seconds of a duration", durations=True),
        _accessor("getMilliseconds", "the part below a second, also of a duration", durations=True),
        _kubernetes("ip", addresses.ip, ADDRESS, (STRING,), about="an address", plain=True),
        _kubernetes("cidr", addresses.cidr, NETWORK, (STRING,), about="a network", plain=True),
        _kubernetes("isIP", addresses.is_ip, BOOL, (STRING,), about="whether a string is an address", plain=True),
        _kubernetes("isCIDR", addresses.is_cidr, BOOL, (STRING,), about="whether a string is a network", plain=True),
        _kubernetes("ip.isCanonical", addresses.is_canonical, BOOL, (STRING,), about="written as RFC 5952 has it", plain=True),
        _kubernetes(
            "containsIP",
            addresses.contains_ip,
            BOOL,
            (NETWORK, STRING),
            (NETWORK, ADDRESS),
            about="the address lies in it",
        ),
        _kubernetes("containsCIDR", addresses.contains_cidr, BOOL, (NETWORK, STRING), (NETWORK, NETWORK), about="all of it does"),
        _kubernetes("masked", addresses.masked, NETWORK, (NETWORK,), about="without bits behind the prefix"),
        _kubernetes(".ip", addresses.ip, ADDRESS, (NETWORK,), about="the address it is written with"),
        _kubernetes("prefixLength", addresses.prefix_length, INT, (NETWORK,), about="the length of the prefix"),
        _kubernetes("family", addresses.of_address(addresses.family), INT, (ADDRESS,), about="4 or 6"),
        _kubernetes("isUnspecified", addresses.of_address(addresses.is_unspecified), BOOL, (ADDRESS,), about="0.0.0.0 or ::"),
        _kubernetes("isLoopback", addresses.of_address(addresses.is_loopback), BOOL, (ADDRESS,), about="127.0.0.0/8 or ::1"),
        _kubernetes(
            "isLinkLocalUnicast",
            addresses.of_address(addresses.is_link_local_unicast),
            BOOL,
            (ADDRESS,),
            about="169.254.0.0/16 or fe80::/10",
        ),
        _kubernetes(
            "isLinkLocalMulticast",
            addresses.of_address(addresses.is_link_local_multicast),
            BOOL,
            (ADDRESS,),
            about="224.0.0.0/24 or ff02::/16 and its like",
        ),
        _kubernetes(
            "isGlobalUnicast",
            addresses.of_address(addresses.is_global_unicast),
            BOOL,
            (ADDRESS,),
            about="none of these, no multicast; private ones too",
        ),
        Function(
            "glob",
            _overloads(BOOL, (STRING, STRING)),
            search,
            "fits a pattern: `*` within a segment, `**` for whole segments; the pattern is a literal",
            method=False,
            plain=True,
            prepared={1: patterns.glob},
            weight=10,
            sized=4,
            ours=True,
            origin="Latchgate",
        ),
        Function(
            "within",
            _overloads(BOOL, (TIMESTAMP, STRING, STRING)),
            calendar.within,
            "the clock on the wall of a zone shows one of these hours; both are literals",
            method=False,
            plain=True,
            prepared={1: calendar.Windows, 2: calendar.zone},
            weight=30,
            ours=True,
            origin="Latchgate",
        ),
    )
}
IN_SET: Final = Function(
    "inSet",
    _overloads(BOOL, (SET, STRING), (SET, ADDRESS)),
    addresses.contains_ip,
    "the address lies in a set of networks that the policies name",
    method=False,
    plain=True,
    ours=True,
    origin="Latchgate",
)
"""Not in the table: its second argument is looked up in the environment, and stands first in the tree."""

EXACT: Final[Mapping[str, Callable[[Any], Any]]] = {"cidr": Network}
"""Stricter readings for literals: bits behind the prefix of a network in a policy are a mistake."""

WORDS: Final = """
transformList transformMap transformMapEntry bind optMap optFlatMap optional or orValue value hasValue find findAll format reverse
quote uint bytes dyn type first last flatten slice sort sortBy distinct range lists math sets base64 url quantity semver
isURL isURI getHost getHostname getPort getScheme getEscapedPath getQuery sum min max indexOfAny
"""
OUTSIDE: Final = frozenset(WORDS.split())
"""Names that readers of CEL know: they are refused as outside the subset rather than as unknown."""
