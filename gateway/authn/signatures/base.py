"""What is signed of a request: its components in one spelling, and the signature base of them (RFC 9421 2).

Path, query, host and scheme are those that intake settled, by which the request is decided on and forwarded.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from gateway.core import structured
from gateway.core.message import Head, Request
from gateway.core.origin import DEFAULT_PORTS, own_origin
from gateway.core.structured import InnerList, Item

MOST: Final = 64
"""Components of one signature."""
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
    """The signature base (2.5). Raises ValueError naming the component that the request does not have, or not in one reading."""
    items, _ = covered
    lines: dict[str, str] = {}
    if len(items) > MOST:
        raise ValueError(f"more than {MOST} components")
    for item in items:
        identifier = structured.written(item)
        if identifier in lines:
            raise ValueError(f"{identifier} is covered twice")
        try:
            lines[identifier] = _value(request, item)
        except ValueError as error:
            raise ValueError(f"{identifier[:80]}: {error}") from error
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


def _value(request: Request, item: Item) -> str:
    name, parameters = item
    if type(name) is not str:
        raise ValueError("a component's name is a string")
    if name == "@query-param" and parameters.keys() == {"name"}:
        return _query_parameter(request, parameters["name"])
    if name in DERIVED and not parameters:
        return DERIVED[name](request)
    if name.startswith("@") or not NAME.fullmatch(name):
        raise ValueError("not a component of a request, or not with these parameters")
    return _field(request, name, parameters)


def _query_parameter(request: Request, name: object) -> str:
    """2.2.8: the value, written anew. One that comes twice has no one value."""
    pairs = parse_qsl((request.query or b"").decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000)
    found = [value for key, value in pairs if _encoded(key) == name]
    if len(found) != 1:
        raise ValueError("is not in the query, or more than once")
    return _encoded(found[0])


def _encoded(text: str) -> str:
    """The percent-encode set of forms (URL Standard 1.3), space as %20."""
    return quote(text, safe="*-._").replace("~", "%7E")


def _field(request: Request, name: str, parameters: structured.Parameters) -> str:
    """2.1: all values of a field in their order. What `Connection` names would not be passed on."""
    head, raw = request.head, name.encode("ascii")
    values = [value for key, value in head.headers if key == raw]
    if not values:
        raise ValueError("is not there")
    if raw in _hop_by_hop(head):
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
        return structured.whole(STRUCTURED[name](text))
    key = parameters.get("key")
    if parameters.keys() == {"key"} and type(key) is str:
        member = structured.dictionary(text, once=True).get(key)
        if member is None:
            raise ValueError("is not in the field")
        return structured.written(member)
    raise ValueError("parameters are `sf` of a field whose type is known, `bs`, or `key`")


def _hop_by_hop(head: Head) -> frozenset[bytes]:
    if b"connection" not in head.fields:
        return frozenset()
    named = b",".join(value for key, value in head.headers if key == b"connection")
    return frozenset(option.strip(b" \t").lower() for option in named.split(b","))
