"""What is signed of a request: its components in one spelling, and the signature base of them (RFC 9421 2).

Path, query, host and scheme are those that intake settled, by which the request is decided on and forwarded.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, final
from urllib.parse import parse_qsl, quote

from gateway.core import structured
from gateway.core.message import Head, Request
from gateway.core.origin import DEFAULT_PORTS, own_origin
from gateway.core.structured import InnerList, Item, Member
from gateway.core.upgrade import asks_websocket

MOST: Final = 64
"""Components of one signature."""
PARTS: Final = 16
"""Those with parameters."""
READ: Final = 4096
"""Bytes of fields and of the query that are taken apart for `sf`, `key` and `@query-param`."""
LONGEST: Final = 64 * 1024
"""Bytes of all components."""
NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
VALUE: Final = re.compile(rb"[\t -~]*")
DICTIONARY: Final = partial(structured.dictionary, once=True)
STRUCTURED: Final[Mapping[str, Callable[[str], Any]]] = {
    "accept-signature": DICTIONARY,
    "client-cert": structured.item,
    "client-cert-chain": structured.listed,
    "content-digest": DICTIONARY,
    "priority": DICTIONARY,
    "repr-digest": DICTIONARY,
    "want-content-digest": DICTIONARY,
    "want-repr-digest": DICTIONARY,
}
"""Fields whose type is known, as `sf` needs it (2.1.1)."""


def base(request: Request, covered: InnerList) -> bytes:
    """The signature base (2.5). Raises ValueError naming the component that the request does not have, or not in one reading, and
    for more than a caller needs: strangers have it written too."""
    items, _ = covered
    if len(items) > MOST or sum(bool(parameters) for _, parameters in items) > PARTS:
        raise ValueError(f"more than {MOST} components, or {PARTS} with parameters")
    components, lines, left = _Components(request), dict[str, str](), LONGEST
    for item in items:
        identifier = structured.written(item)
        if identifier in lines:
            raise ValueError(f"{identifier} is covered twice")
        try:
            lines[identifier] = value = components.value(item)
        except ValueError as error:
            raise ValueError(f"{identifier[:80]}: {error}") from error
        left -= len(identifier) + len(value)
        if left < 0:
            raise ValueError(f"more than {LONGEST} bytes are covered")
    lines['"@signature-params"'] = structured.written(covered)
    return "\n".join(f"{identifier}: {value}" for identifier, value in lines.items()).encode("ascii")


def covers(covered: InnerList) -> frozenset[str]:
    """The names of components that are covered whole: members of fields and single query parameters are parts."""
    return frozenset(name for name, parameters in covered[0] if isinstance(name, str) and not parameters.keys() - {"sf", "bs"})


def target(request: Request) -> str:
    """Path and query as they are decided on."""
    return request.path if request.query is None else f"{request.path}?{request.query.decode('ascii')}"


def _authority(head: Head) -> str:
    return head.authority.removesuffix(DEFAULT_PORTS["https" if head.secure else "http"])


DERIVED: Final[Mapping[str, Callable[[Request], str]]] = {
    "@method": lambda request: request.method,
    "@target-uri": lambda request: own_origin(request.head) + target(request),
    "@authority": lambda request: _authority(request.head),
    "@scheme": lambda request: "https" if request.head.secure else "http",
    "@request-target": target,
    "@path": lambda request: request.path,
    "@query": lambda request: f"?{(request.query or b'').decode('ascii')}",
}


@final
class _Components:
    """The components of one request. Fields and the query are taken apart once, and READ bytes of them in all."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._left = READ
        self._fields: dict[str, list[bytes]] = {}
        for name, value in request.head.headers:
            self._fields.setdefault(name.decode("latin-1"), []).append(value)
        named = b",".join(self._fields.get("connection", ())).decode("latin-1").lower()
        self._dropped = {option.strip(" \t") for option in named.split(",")} - (
            {"upgrade"} if asks_websocket(request.head) else set()
        )
        self._dictionaries: dict[str, dict[str, Member]] = {}
        self._parameters: dict[str, list[str]] | None = None

    def value(self, item: Item) -> str:
        """Raises ValueError for what the request does not have, or not in one reading."""
        name, parameters = item
        if type(name) is not str:
            raise ValueError("a component's name is a string")
        if name == "@query-param" and parameters.keys() == {"name"}:
            return self._parameter(parameters["name"])
        if name in DERIVED and not parameters:
            return DERIVED[name](self._request)
        if name.startswith("@") or not NAME.fullmatch(name):
            raise ValueError("not a component of a request, or not with these parameters")
        return self._field(name, parameters)

    def _parameter(self, name: object) -> str:
        """2.2.8: the value, written anew. One that comes twice has no one value."""
        if self._parameters is None:
            query = self._read((self._request.query or b"").decode("ascii"))
            self._parameters = {}
            for key, value in parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=1000):
                self._parameters.setdefault(_encoded(key), []).append(value)
        found = self._parameters.get(name, []) if isinstance(name, str) else []
        if len(found) != 1:
            raise ValueError("is not in the query, or more than once")
        return _encoded(found[0])

    def _field(self, name: str, parameters: structured.Parameters) -> str:
        """2.1: all values of a field in their order. What `Connection` names would not be passed on."""
        values = self._fields.get(name)
        if not values:
            raise ValueError("is not there")
        if name in self._dropped:
            raise ValueError("is named by Connection, and would not be passed on")
        if parameters == {"bs": True}:
            return ", ".join(structured.written((value, {})) for value in values)
        joined = b", ".join(values)
        if not VALUE.fullmatch(joined):
            raise ValueError("has characters beyond ASCII: cover it with `bs`")
        text = joined.decode("ascii")
        if not parameters:
            return text
        if parameters == {"sf": True} and name in STRUCTURED:
            return structured.whole(STRUCTURED[name](self._read(text)))
        key = parameters.get("key")
        if parameters.keys() == {"key"} and type(key) is str:
            if name not in self._dictionaries:
                self._dictionaries[name] = DICTIONARY(self._read(text))
            member = self._dictionaries[name].get(key)
            if member is None:
                raise ValueError("is not in the field")
            return structured.written(member)
        raise ValueError("parameters are `sf` of a field whose type is known, `bs`, or `key`")

    def _read(self, text: str) -> str:
        """What is about to be taken apart. Raises ValueError where it is too much."""
        self._left -= len(text)
        if self._left < 0:
            raise ValueError(f"with it more than {READ} bytes have to be taken apart: cover it whole")
        return text


def _encoded(text: str) -> str:
    """The percent-encode set of forms (URL Standard 1.3), space as %20."""
    return quote(text, safe="*-._").replace("~", "%7E")
