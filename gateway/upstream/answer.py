"""Header duties on the way back (CONTRACT 6): what an upstream may tell the client, and in whose words."""

from collections.abc import Iterable, Sequence
from typing import Final

from gateway.core.echoes import Echoes
from gateway.core.message import MOST_NOTED, Field, Outbound, Response
from gateway.core.shape import Selection, Shape, Values, conclude, split
from gateway.upstream.owned import HOP_BY_HOP
from gateway.upstream.target import PORTS, Target

LOCATIONS: Final = frozenset({b"location", b"content-location"})
JUDGED: Final = LOCATIONS | {b"set-cookie", b"alt-svc"}
SPECIAL: Final = HOP_BY_HOP | JUDGED
KEEP_ALIVE: Final = frozenset({b"keep-alive", b"Keep-Alive"})
NO_BODY: Final = 204
REWRITTEN: Final = frozenset({b"domain", b"secure", b"httponly", b"samesite"})
FRAMING: Final = b"content-length"

Noted = tuple[int, Shape, Values]
"""What is left of a head, where the secrets of this hash must not be found in it. Python's hash of bytes is keyed (PEP 456); the
secrets themselves would live on here after they were withdrawn."""


class ResponseFields:
    """One upstream's header duties on the way back, for one route.

    `reserved_cookies` are the gateway's own cookie names, which no upstream may set. `preserve_host` tells that the upstream
    believes to be called by the gateway's own name.
    """

    def __init__(
        self, targets: Sequence[Target], *, drop_cookies: bool, reserved_cookies: frozenset[bytes], preserve_host: bool
    ) -> None:
        self._usual: dict[Shape, Usual] = {}
        self._drop_cookies = drop_cookies
        self._reserved = reserved_cookies
        self._preserve_host = preserve_host
        self._base = targets[0].base.encode("ascii")
        self._scheme = targets[0].scheme.encode("ascii")
        self._origins = frozenset(canonical_origin(target.origin.encode("ascii")) for target in targets)

    def complete(self, response: Response, outbound: Outbound) -> None:
        """Leave the response with the fields that are for the client."""
        memo = response.memo
        noted: Noted | None = None if memo is None else memo.get(self)
        secrets = outbound.secrets[0].mark if len(outbound.secrets) == 1 else hash(tuple([each.mark for each in outbound.secrets]))
        if noted is not None and noted[0] == secrets:
            _, response.shape, response.values = noted
            return
        shape, values = response.shape, response.values
        usual = self._usual.get(shape) or conclude(self._usual, shape, Usual(shape))
        is_usual = usual.applies and response.status != NO_BODY
        if not is_usual or (usual.option is not None and values[usual.option] not in KEEP_ALIVE):
            shape, values = split(self._filtered(response.status, list(zip(shape.names, values, strict=True)), outbound))
            memo = None  # the request had a say in it
        elif usual.kept.pick is not None:
            shape, values = usual.kept.shape, usual.kept.pick(values)
        if outbound.secrets:
            before = outbound.echoed
            shape, values = scrubbed(shape, values, outbound)
            if outbound.echoed > before:
                memo = None  # it is told each time
        response.shape, response.values = shape, values
        if memo is not None:
            if len(memo) >= MOST_NOTED:
                memo.clear()
            memo[self] = secrets, shape, values

    def _filtered(self, status: int, fields: list[Field], outbound: Outbound) -> list[Field]:
        named = connection_options(fields)
        kept: list[Field] = []
        for field in fields:
            name, value = field
            if name not in SPECIAL:
                # RFC 9110 8.6: a 204 has no Content-Length; ours must not either.
                if name not in named and not (status == NO_BODY and name == FRAMING):
                    kept.append(field)
            elif name in LOCATIONS:
                kept.append((name, self.mapped(value, outbound)))
            elif name == b"set-cookie" and not self._drop_cookies and (cookie := self._cookie(value)) is not None:
                kept.append((name, cookie))
        return kept

    def _cookie(self, value: bytes) -> bytes | None:
        """A cookie that stays with this host, on secure ways, out of scripts' and other sites' reach; None to drop it."""
        pair, *attributes = [part.strip() for part in value.split(b";")]
        name = pair.partition(b"=")[0].strip()
        if not name or b"=" not in pair or name in self._reserved:
            return None
        kept = [part for part in attributes if part and part.partition(b"=")[0].strip().lower() not in REWRITTEN]
        return b"; ".join([pair, *kept, b"Secure", b"HttpOnly", b"SameSite=Lax"])

    def mapped(self, location: bytes, outbound: Outbound) -> bytes:
        """A reference to the upstream's own origin as a path of the gateway; any other reference as it is."""
        path = self._own_path(location, outbound)
        if path is None:
            return location
        if self._base:
            if not (path == self._base or path.startswith((self._base + b"/", self._base + b"?", self._base + b"#"))):
                return location
            path = path[len(self._base) :]
        if not path.startswith(b"/"):
            path = b"/" + path
        path = stripped_prefix(outbound, self._base) + path
        # `//host` and `/\host` would be read as another origin, also with tabs between, which browsers drop: an open redirect
        # made of our own name.
        return b"/" + path.lstrip(b"/\\\t ")

    def _own_path(self, location: bytes, outbound: Outbound) -> bytes | None:
        """Path, query and fragment of a reference to the upstream's own origin, else None."""
        if location.startswith(b"/") and not location.startswith((b"//", b"/\\")):
            return location
        scheme, mark, rest = location.partition(b"://") if not location.startswith(b"//") else (self._scheme, b"//", location[2:])
        if not mark or scheme.lower() not in (b"http", b"https"):
            return None
        end = min((found for sign in b"/?#\\" if (found := rest.find(sign)) >= 0), default=len(rest))
        authority = rest[:end].lower()
        if self._preserve_host and authority == outbound.request.head.authority.encode("ascii"):
            return rest[end:]
        return rest[end:] if canonical_origin(scheme + b"://" + authority) in self._origins else None


def canonical_origin(origin: bytes) -> bytes:
    """An origin in lower case without its scheme's default port."""
    scheme, _, authority = origin.lower().partition(b"://")
    return scheme + b"://" + authority.removesuffix(b":%d" % PORTS.get(scheme.decode("latin-1"), 0))


class Usual:
    """What is dropped of answers of one shape whose only special fields are hop-by-hop ones.

    `applies` is false where there are others. `option` is where Connection stands: it may name none but hop-by-hop fields.
    """

    __slots__ = ("applies", "kept", "option")

    def __init__(self, shape: Shape) -> None:
        named = b"connection" in shape.present
        repeated = len(shape.present) < len(shape.names)
        self.applies = JUDGED.isdisjoint(shape.present) and not (named and repeated)
        self.option = shape.names.index(b"connection") if named else None
        self.kept = Selection(shape, lambda name: name not in HOP_BY_HOP)


def connection_options(fields: list[Field]) -> frozenset[bytes]:
    """What the Connection fields of a message name, lower case (RFC 9110 7.6.1)."""
    lines = [value for name, value in fields if name == b"connection"]
    return frozenset(option.strip(b" \t").lower() for option in b",".join(lines).split(b",")) - {FRAMING}


def stripped_prefix(outbound: Outbound, base: bytes) -> bytes:
    """What the route took off the path, read from the two paths themselves so that it cannot differ from what was done."""
    asked = outbound.request.path.encode("ascii")
    sent = outbound.target.partition(b"?")[0][len(base) :]
    return asked[: len(asked) - len(sent)] if asked.endswith(sent) else asked


def scrubbed(shape: Shape, values: Values, outbound: Outbound) -> tuple[Shape, Values]:
    """The fields with every injected value replaced, without those whose names hold one; the framing's digits are left alone."""
    joined, secrets = b"\n".join(values), outbound.secrets
    for each in secrets:
        if each.occur(joined, each.in_heads) or (shape not in each.clean and each.in_names(shape)):
            break
    else:
        return shape, values
    return split(clean(zip(shape.names, values, strict=True), outbound))


def clean(fields: Iterable[Field], outbound: Outbound) -> list[Field]:
    """Fields as `scrubbed` gives them; how many of them changed is counted in `echoed`."""
    kept: list[Field] = []
    for name, value in fields:
        shown = value if name == FRAMING else masked(value, outbound.secrets)
        is_named = any(each.in_name(name) for each in outbound.secrets)
        if not is_named:
            kept.append((name, shown))
        outbound.echoed += is_named or shown is not value
    return kept


def masked(value: bytes, secrets: Sequence[Echoes]) -> bytes:
    """A value with every injected secret replaced; the very same object where it holds none."""
    for each in secrets:
        value = each.replaced(value)
    return value
