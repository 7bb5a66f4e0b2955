"""Header duties on the way to an upstream (CONTRACT 6; RFC 9110 7.6): the one maker of an Outbound.

Everything a client says about itself, its way or its connection is removed first; what the gateway says is added afterwards,
so that no `Connection` field can take it away again (CVE-2024-45410).
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from gateway.core.errors import BadRequest
from gateway.core.exchange import Exchange
from gateway.core.message import MOST_NOTED, Field, Head, Outbound, Request, lines
from gateway.core.principal import Principal
from gateway.core.reason import Reason
from gateway.upstream import forwarding
from gateway.upstream.head import start_lines
from gateway.upstream.model import Scrub, Upstream
from gateway.upstream.owned import FRAMING, HOP_BY_HOP, OWNED, Names
from gateway.upstream.target import parse_targets

KEEP: Final = 0
DROP: Final = 1
COOKIE: Final = 2
MAX_FORWARDS: Final = 3

REMEMBERED: Final = 1024
"""Names, peers and subjects come from strangers: what is remembered about them is bounded."""
MOST_HOPS: Final = 20
USUAL_CONNECTION: Final = frozenset({b"keep-alive", b"close", b"Keep-Alive", b"Close"})
NOTHING: Final[frozenset[bytes]] = frozenset()
CHANGED: Final = frozenset({b"cookie", b"max-forwards"})
UNSETTABLE: Final = Names(HOP_BY_HOP | FRAMING | OWNED | {b"authorization", b"cookie"})
UNSETTABLE_BY_RULES: Final = HOP_BY_HOP | FRAMING | OWNED | {b"authorization", b"cookie", b"content-*", b"accept-encoding"}
"""An answer in an encoding of the rule's choice could not be inspected."""
RANGES: Final = frozenset({b"range", b"if-range"})
CODINGS: Final = frozenset({b"accept-encoding", b"a-im", b"grpc-accept-encoding", b"connect-accept-encoding"})
PLAINLY: Final[Field] = (b"accept-encoding", b"identity")
VISIBLE: Final = "".join(chr(octet) for octet in range(0x21, 0x7F) if octet != 0x25)


class RequestFields:
    """One route's header duties, compiled: which fields pass, which are added.

    `credential_headers` and `credential_cookies` are all places a client's credential may come in; `strip` is how many
    characters of the canonical path are dropped; `sets` are fields that policy rules set; `scrub`
    says how answers are searched for a credential, where one is injected. Raises ValueError for `headers` that
    name what only the gateway may say, or what rules say.
    """

    def __init__(
        self,
        *,
        upstream: Upstream,
        credential_headers: frozenset[bytes],
        credential_cookies: frozenset[bytes],
        strip: int,
        pseudonym: bytes = b"gateway",
        owned: frozenset[bytes] = OWNED,
        sets: frozenset[bytes] = NOTHING,
        scrub: Scrub | None = None,
    ) -> None:
        target = parse_targets(upstream)[0]
        fixed = fixed_fields(upstream)
        removed = frozenset(name.lower().encode("ascii") for name in upstream.headers.remove)
        unasked, plain = asked_plainly(scrub) if scrub is not None else (NOTHING, ())
        fixed += tuple(field for field in plain if field[0] not in dict(fixed))
        settled = unasked | frozenset(name for name, _ in fixed) | removed
        if both := [name.decode() for name, _ in fixed if name in Names(sets)]:
            raise ValueError(f"headers.set may not name {both[0]}: a policy rule sets it too")
        self._dropped = Names(HOP_BY_HOP | FRAMING | OWNED | owned | credential_headers | settled | sets)
        self._cookies = credential_cookies
        self._strip = strip
        self._base = target.base.encode("ascii")
        self._host = None if upstream.preserve_host else target.authority.encode("ascii")
        self._fixed = fixed
        self._internal = upstream.internal
        self._pseudonym = pseudonym.lower()
        # RFC 9110 7.6.3: by which protocol it came.
        self._own_via = {"1.0": b"1.1 " + pseudonym, "1.1": b"1.1 " + pseudonym, "2": b"2 " + pseudonym}
        self._verdicts: dict[bytes, int] = {}
        self._origin = lru_cache(REMEMBERED)(forwarding.origin)
        self._subject = lru_cache(REMEMBERED)(subject)

    def outbound(self, request: Request, principal: Principal, exchange: Exchange) -> Outbound:
        """Raises BadRequest: path-refused when nothing sensible is left of the path, loop-detected (RFC 9110 7.6.3)."""
        memo = request.head.memo
        told: Told | None = None if memo is None else memo.get(self)
        if told is None or told.principal is not principal:
            told = self._told(request, principal)
            if memo is not None and len(memo) < MOST_NOTED:
                memo[self] = told
        if told.request is not request:
            target = self._target(request)
            told.start = start_lines(request.method, target, told.authority)
            told.target, told.request = target, request
        made = Outbound(request.method, told.target, [*told.cookies], request.body, request)
        made.authority, made.interim = told.authority, exchange.interim
        made.start, made.principal = told.start, principal.key
        # Ids are judged where they are made, or taken from a proxy.
        said = f"x-request-id: {exchange.id}\r\n"
        if self._internal and exchange.trace_id:
            # W3C Trace Context level 1: version, trace, parent, flags.
            said += f"traceparent: 00-{exchange.trace_id}-{exchange.span_id}-{'01' if exchange.sampled else '00'}\r\n"
        made.lines = [told.lines, said.encode("ascii")]
        return made

    def _told(self, request: Request, principal: Principal) -> "Told":
        """What the request's own head and the principal decide. Cookies stay apart: a credential may have to join them."""
        head = request.head
        kept = self._passed(request)
        kept.append((b"via", self._appended_via(head) if b"via" in head.fields else self._own_via[head.version]))
        if self._internal:
            kept += self._forwarding(head)
            kept.append(self._subject(principal.issuer, principal.id))
        kept += self._fixed
        cookies = [field for field in kept if field[0] == b"cookie"]
        others = lines(field for field in kept if field[0] != b"cookie")
        return Told(principal, self._host or head.authority.encode("ascii"), cookies, others)

    def _passed(self, request: Request) -> list[Field]:
        """What of the client's own fields goes on, in their order."""
        head, verdicts, names = request.head, self._verdicts, request.head.fields
        if not verdicts.keys() >= names.keys():
            self._learn(names)
        named = self._named(head) if b"connection" in names else NOTHING
        if named or not CHANGED.isdisjoint(names):
            return self._changed(request, named)
        return [field for field in head.headers if verdicts[field[0]] == KEEP]

    def _changed(self, request: Request, named: frozenset[bytes]) -> list[Field]:
        """The same, where a field's value decides as well, or Connection has something to say."""
        headers: list[Field] = []
        for name, value in request.head.headers:
            verdict = self._verdicts[name]
            if verdict == DROP or name in named:
                continue
            if verdict == KEEP:
                headers.append((name, value))
            elif verdict == COOKIE:
                keep_cookies(value, self._cookies, headers)
            elif verdict == MAX_FORWARDS:
                headers.append((name, spent(value, request.method)))
        return headers

    def _learn(self, names: Collection[bytes]) -> None:
        """Judge names not seen before; those of one request are known together."""
        if len(self._verdicts) + len(names) > REMEMBERED:
            self._verdicts.clear()
        for name in names:
            self._verdicts[name] = self._verdict(name)

    def _verdict(self, name: bytes) -> int:
        if name == b"max-forwards":
            return MAX_FORWARDS
        if name in self._dropped:
            return DROP
        return COOKIE if name == b"cookie" and self._cookies else KEEP

    def _named(self, head: Head) -> frozenset[bytes]:
        """The fields a client's Connection names: about its own connection only (RFC 9110 7.6.1)."""
        if head.fields[b"connection"] in USUAL_CONNECTION and b"connection" not in head.repeated:
            return NOTHING
        values = [value for name, value in head.headers if name == b"connection"]
        return frozenset(option.strip(b" \t").lower() for option in b",".join(values).split(b","))

    def _forwarding(self, head: Head) -> Sequence[Field]:
        """From where it comes: the same for all requests of a peer, unless a proxy we believe said more."""
        if head.forwarded:
            return forwarding.continued(head)
        return self._origin(head.peer, head.authority, head.secure)

    def _appended_via(self, head: Head) -> bytes:
        line = b", ".join(value for name, value in head.headers if name == b"via")
        hops = [hop.split() for hop in line.split(b",") if hop.strip()]
        seen = any(len(hop) > 1 and hop[1].lower() == self._pseudonym for hop in hops)
        if seen or len(hops) > MOST_HOPS:
            raise BadRequest("this request has been here before", reason=Reason.LOOP_DETECTED)
        own = self._own_via[head.version]
        return line + b", " + own if hops else own

    def _target(self, request: Request) -> bytes:
        path = request.path[self._strip :].encode("ascii") or b"/"
        if not path.startswith(b"/"):
            # A prefix ends where a segment ends, or another path would be served than was decided on (CVE-2026-48020).
            raise BadRequest("the prefix to strip does not end at a segment", reason=Reason.PATH_REFUSED)
        if request.query is None:
            return self._base + path
        return self._base + path + b"?" + request.query


class Told:
    """What an upstream is told of one head and principal: the host, the cookies, the other fields as lines.

    `target` and `start` (see Outbound) are those of `request`, the last one with that head.
    """

    __slots__ = ("authority", "cookies", "lines", "principal", "request", "start", "target")

    def __init__(self, principal: Principal, authority: bytes, cookies: list[Field], lines: bytes) -> None:
        self.principal = principal
        self.authority = authority
        self.cookies = cookies
        self.lines = lines
        self.request: Request | None = None
        self.target = self.start = b""


def fixed_fields(upstream: Upstream) -> tuple[Field, ...]:
    """`headers.set` as it goes on the wire. Raises ValueError naming the header and what is wrong with it."""
    fields: list[Field] = []
    for name, value in upstream.headers.set.items():
        key = name.lower().encode("ascii")
        if key in UNSETTABLE:
            raise ValueError(f"headers.set may not name {name}: that field is the gateway's, or a credential's")
        if not value.isascii() or any((ord(sign) < 0x20 and sign != "\t") or ord(sign) == 0x7F for sign in value):
            raise ValueError(f"headers.set.{name} holds characters that a header field cannot carry: use printable ASCII")
        fields.append((key, value.strip(" \t").encode("ascii")))
    return tuple(fields)


def asked_plainly(scrub: Scrub) -> tuple[frozenset[bytes], tuple[Field, ...]]:
    """What is not passed on where answers are searched, and what is said instead: they are asked for whole and in no coding."""
    if not scrub.bodies:
        return NOTHING, ()
    ranges = RANGES if scrub.ranges == "remove" else NOTHING
    return (ranges | CODINGS, (PLAINLY,)) if scrub.encoded == "refuse" else (ranges, ())


def keep_cookies(line: bytes, dropped: frozenset[bytes], headers: list[Field]) -> None:
    """Append the Cookie line without the cookies named in `dropped`, compared as sent and decoded."""
    pairs = [pair.strip() for pair in line.split(b";")]
    kept = [pair for pair in pairs if pair and not is_named(pair, dropped)]
    if kept:
        headers.append((b"cookie", b"; ".join(kept)))


def is_named(pair: bytes, names: frozenset[bytes]) -> bool:
    """Whether a cookie pair bears one of these names, also when quoted or percent-encoded."""
    name = pair.partition(b"=")[0].strip()
    return name in names or unquote_to_bytes(name.strip(b'"')) in names


def spent(value: bytes, method: str) -> bytes:
    """Max-Forwards one hop later (RFC 9110 7.6.2: OPTIONS only, TRACE is never admitted; zero was answered, see edge/hops.py)."""
    if method != "OPTIONS" or not value.isdigit() or len(value) > 9:
        return value
    if int(value) == 0:
        raise BadRequest("Max-Forwards ends here", reason=Reason.LOOP_DETECTED)
    return b"%d" % (int(value) - 1)


def subject(issuer: str, id: str) -> Field:
    """`issuer:id`, percent-encoded outside visible ASCII: a space at an end would be trimmed and name somebody else."""
    return b"x-gateway-subject", quote(f"{issuer}:{id}", safe=VISIBLE, errors="strict").encode("ascii")
