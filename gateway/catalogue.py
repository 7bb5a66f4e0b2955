"""Which tools may I use? What a principal is told of the routes of one door: those that its requests could be allowed on.

Told are a tool's name and description, its path, methods and schemas: nothing of policies, credentials or upstreams. The answer is
the policies' own, asked before there is a request (`authz.prospect`): a route that they would deny whatever the request says is not
there.
"""

import hashlib
import json
from asyncio import sleep
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from gateway.authn.gate import Gate
from gateway.authz.cases import imagined
from gateway.authz.cel.limits import MAX_SPENT
from gateway.authz.model import METHODS
from gateway.authz.policy import RoutePolicy
from gateway.authz.prospect import Prospect, Prospects
from gateway.authz.residual import Residuals
from gateway.core.decision import AccessRequest
from gateway.core.errors import BadRequest
from gateway.core.exchange import Exchange
from gateway.core.form import decode_query
from gateway.core.message import Request, Response
from gateway.core.ports import Limits
from gateway.core.principal import ANONYMOUS, Identity, Principal
from gateway.core.reason import Reason

MOST: Final = 200
"""Tools of one answer, unless the client asks for fewer."""
MOST_TOLD: Final = 1024 * 1024
"""Bytes of tools that one answer tells, unless a single one has more: they are put together, hashed and sent at once."""
TURN: Final = 50
"""Tools that are judged before others get their turn."""
NOBODY: Final = "192.0.2.1"
"""The client's address of a request that nobody sent (RFC 5737 3)."""
# An answer is one principal's, at one moment: nobody keeps it, and whoever compares it again asks again.
PRIVATE: Final = ((b"content-type", b"application/json"), (b"cache-control", b"private, no-store"))


@dataclass(frozen=True, slots=True)
class Tool:
    """A route as its clients may know it. `accepted` are the issuers whose principals it lets in, none where it is anonymous;
    `questions` are what its policy is asked, by method; `told` is what does not depend on who asks, `schemas` those of its schemas
    that do not, None where none are told, and `operations` what is told by method of those that a description has. The values of
    the last three are JSON (`written`), made at load."""

    name: str
    accepted: frozenset[str]
    policy: RoutePolicy
    questions: Mapping[str, Request]
    route: str
    upstream: str
    told: Mapping[str, bytes]
    exchanged: bool = False
    """Whether it takes the gateway's own tokens, which stand for principals of any issuer."""
    schemas: Mapping[str, bytes] | None = None
    operations: Mapping[str, bytes] | None = None

    def of(self, methods: Mapping[str, Prospect]) -> bytes:
        """What is told to whoever may use these methods, in JSON."""
        sure = [method for method, each in methods.items() if each is Prospect.ALLOWED]
        maybe = [method for method, each in methods.items() if each is Prospect.CONDITIONAL]
        made = {**self.told, "methods": written(sure), "conditional": written(maybe)}
        if self.schemas is not None:
            made["schemas"] = joined({**self.schemas, **self._operations(methods)})
        return joined(made)

    def _operations(self, methods: Mapping[str, Prospect]) -> dict[str, bytes]:
        if self.operations is None:
            return {}
        return {"operations": joined({method: each for method, each in self.operations.items() if method in methods})}


def written(value: Any) -> bytes:
    """As JSON. Descriptions are text: whoever shows it as a page by mistake shall not run them."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c").encode()


def joined(members: Mapping[str, bytes]) -> bytes:
    """A JSON object of members whose values are JSON already."""
    return b"{" + b", ".join(written(name) + b": " + value for name, value in members.items()) + b"}"


def questions(methods: Sequence[str] | None) -> dict[str, Request]:
    """A request that nobody sent for each method of a route, None for any."""
    return {method: imagined(method, "/", client=NOBODY) for method in methods or METHODS}


@final
class Catalogue:
    """Answers one door's principals."""

    __slots__ = ("_anonymous", "_gate", "_limits", "_residuals", "_tools")

    def __init__(self, tools: Sequence[Tool], gate: Gate, limits: Limits) -> None:
        """`limits` are those keyed by subject."""
        self._tools = sorted(tools, key=lambda tool: tool.name)
        self._gate = gate
        self._limits = limits
        self._residuals = Residuals()
        self._anonymous = Principal(Identity(id=ANONYMOUS, issuer=ANONYMOUS, scheme=ANONYMOUS))

    async def __call__(self, request: Request, exchange: Exchange) -> Response:
        """One page of the tools of whoever asks. Raises what authenticating and limits raise, and BadRequest query-invalid."""
        principal = exchange.principal = self._gate.recalled(request) or await self._gate.authenticate(request)
        spent = self._limits.take(request, principal)
        policies, allowances = await self._limits.spend(request, principal) if spent is None else spent
        exchange.policies += policies
        exchange.allowances += allowances
        after, most = page(request.query)
        found, more, complete = await self._found(principal, exchange.time, after, most)
        tools = b"[" + b", ".join(found) + b"]"
        return answer(request, joined({"tools": tools, "next": written(more), "complete": written(complete)}))

    async def _found(self, principal: Principal, now: float, after: str, most: int) -> tuple[list[bytes], str | None, bool]:
        """At most so many tools whose names come after one, and MOST_TOLD of them; the last one's name where there are more, and
        whether every policy could be asked."""
        residuals = self._residuals.spending([MAX_SPENT])
        mine, anybody = Prospects(principal, residuals), Prospects(self._anonymous, residuals)
        found: list[bytes] = []
        size, last, more = 0, "", None
        for number, tool in enumerate(self._tools):
            if number % TURN == TURN - 1:
                await sleep(0)
            if tool.name <= after or (tool.accepted and principal.issuer not in tool.accepted and not tool.exchanged):
                continue
            methods = dict(judged(tool, mine if tool.accepted else anybody, now))
            if not methods:
                continue
            text = tool.of(methods)
            size += len(text)
            if found and (len(found) == most or size > MOST_TOLD):
                more = last
                break
            found.append(text)
            last = tool.name
        return found, more, not (mine.costly or anybody.costly)


def judged(tool: Tool, prospects: Prospects, now: float) -> Iterator[tuple[str, Prospect]]:
    """The methods that a principal's requests could be allowed, each with what awaits them."""
    for method, request in tool.questions.items():
        prospect = prospects.of(tool.policy, AccessRequest(request, tool.route, tool.upstream, {}, now))
        if prospect is not Prospect.DENIED:
            yield method, prospect


def page(query: bytes | None) -> tuple[str, int]:
    """The name after which to begin, and how many to tell: `?after=NAME&limit=N`. Raises BadRequest query-invalid."""
    asked = decode_query(query or b"")
    limit = asked.get("limit", [str(MOST)])
    if asked.keys() - {"after", "limit"} or any(len(values) > 1 for values in asked.values()):
        raise BadRequest("tools: only `after` and `limit`, each once", reason=Reason.QUERY_INVALID)
    if not (limit[0].isascii() and limit[0].isdigit() and len(limit[0]) <= 4 and 1 <= int(limit[0]) <= MOST):
        raise BadRequest(f"tools: limit is 1 to {MOST}", reason=Reason.QUERY_INVALID)
    return asked.get("after", [""])[0], int(limit[0])


def answer(request: Request, body: bytes) -> Response:
    """The document, or 304 where the client has it already (RFC 9110 13.1.2)."""
    tag = b'"' + hashlib.sha256(body).hexdigest()[:32].encode() + b'"'
    fields = [*PRIVATE, (b"etag", tag), (b"vary", b"authorization, cookie")]
    known = request.head.fields.get(b"if-none-match", b"")
    if tag in [each.strip().removeprefix(b"W/") for each in known.split(b",")]:
        return Response(304, fields[1:])
    return Response(200, fields, body)
