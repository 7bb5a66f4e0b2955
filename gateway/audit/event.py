"""What one line of the audit trail says: the request event of CONTRACT 7, and whatever else the catalogue knows.

Never in a line: header values, query values, bodies, tokens, secrets. Every line is one JSON object, bounded in length.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from gateway.audit import conditions
from gateway.audit.catalogue import CATALOGUE, HOW_IT_ENDED, WHO, WHO_ASKED
from gateway.audit.masks import Masks
from gateway.audit.model import Mask
from gateway.audit.times import Stamp, milliseconds
from gateway.core.exchange import Exchange
from gateway.core.secret import Secret
from gateway.core.shape import remember
from gateway.telemetry.redact import scrub, sealed, visible

LINE: Final = 8192
"""Bytes above which a line's texts are cut one by one."""
TEXT: Final = 512
PATH: Final = 2048
ITEM: Final = 128
ITEMS: Final = 32
ELLIPSIS: Final = "…"
DELETE: Final = 0x7F
"""The one character of ASCII that JSON leaves as it is and displays obey."""


Told = tuple[tuple[Any, ...], str, str]
"""What a request's line says, between its trace and its sizes and at its end, where it ended as the first part tells."""


class Nobody:
    """The principal of a request without one."""

    __slots__ = ()
    issuer = None
    id = None
    scheme = None
    credential_id = None
    roles = None


NOBODY: Final = Nobody()


class Events:
    """Makes lines of exchanges and named events."""

    __slots__ = ("_asked", "_masked", "_masks", "_outcomes", "_stamp")

    def __init__(self, mask: Mask, key: Secret) -> None:
        self._masks = Masks(mask, key)
        self._masked = mask.subject != "none" or mask.client != "none"
        self._stamp = Stamp()
        self._asked: dict[tuple[Any, ...], tuple[str, str]] = {}
        self._outcomes: dict[tuple[Any, ...], tuple[str, str]] = {}

    def request(self, exchange: Exchange, duration: float) -> bytes:
        """One request's line, newline included. `duration` in seconds, from the request's head to the last byte out.

        What many requests have in common is rendered once: who asked for which route, and how it ended.
        """
        decision = exchange.decision
        plain = exchange.trace is None and exchange.shaped is None and exchange.echoed is None
        plain = plain and (decision is None or (decision.shadow is None and not decision.errors))
        if exchange.detail or exchange.error is not None or not exchange.trace_id or not plain:
            return self.in_full(exchange, duration)
        memo, upstream = exchange.memo, exchange.upstream_seconds
        reason, params, credential = exchange.reason, exchange.params, exchange.credential
        outcome = (exchange.principal, exchange.status, reason, decision, params, exchange.upstream, credential)
        noted: Told | None = None if memo is None else memo.get(self)
        try:
            if noted is None or noted[0] != outcome:
                noted = (outcome, *self._told(exchange))
                if memo is not None:
                    memo[self] = noted
            _, what, end = noted
            line = (
                f'{{"ts":"{self._stamp.text(exchange.time)}","event":"request","request_id":"{exchange.id}",'
                f'"trace_id":"{exchange.trace_id}",{what},"bytes_in":{exchange.bytes_in},'
                f'"bytes_out":{exchange.bytes_out},"duration_ms":{milliseconds(int(duration * 1e6))},'
                f'"upstream_ms":{"null" if upstream is None else milliseconds(int(upstream * 1e6))},{end}}}\n'
            ).encode()
        except (TypeError, ValueError):
            return self.in_full(exchange, duration)
        if len(line) > LINE:
            return self.in_full(exchange, duration)
        return line if line.isascii() and DELETE not in line else sealed(line)

    def _told(self, exchange: Exchange) -> tuple[str, str]:
        """What comes from `generation` to `credential`, and after the last of REQUEST. Raises TypeError as `fragment` does."""
        asked = (exchange.generation, exchange.client, exchange.principal, exchange.route, exchange.method)
        upstream, credential = exchange.upstream, exchange.credential
        outcome = (exchange.status, exchange.reason, exchange.decision, upstream, credential, exchange.listener)
        who, method = self._asked.get(asked) or self._who(asked, exchange)
        how, end = self._outcomes.get(outcome) or self._how(outcome, exchange)
        params, path = orjson.dumps(exchange.params).decode(), orjson.dumps(exchange.path or None).decode()
        return f'{who},"params":{params},{method},"path":{path},{how}', end

    def _who(self, asked: tuple[Any, ...], exchange: Exchange) -> tuple[str, str]:
        """The fields from `generation` to `route`, and `method`."""
        fields = self._fields(exchange, 0.0)
        if self._masked:
            self._mask(fields)
        return remember(self._asked, asked, (fragment(fields, WHO_ASKED), fragment(fields, ("method",))))

    def _how(self, outcome: tuple[Any, ...], exchange: Exchange) -> tuple[str, str]:
        """The fields from `status` to `credential`, and those after the last of REQUEST."""
        fields = self._fields(exchange, 0.0)
        return remember(self._outcomes, outcome, (fragment(fields, HOW_IT_ENDED), fragment(fields, ("level", "listener"))))

    def in_full(self, exchange: Exchange, duration: float) -> bytes:
        """The same line, rendered from all its fields."""
        fields = self._fields(exchange, duration)
        if exchange.decision is not None:
            fields |= conditions.told(exchange.decision)
        if exchange.trace is not None:
            fields["trace"] = conditions.traced(exchange.trace, self._masks, str(fields["issuer"]))
        if exchange.shaped is not None:
            fields["answer"] = {"outcome": exchange.shaped.outcome, "redacted": exchange.shaped.redacted}
        if exchange.echoed is not None:
            fields["echoed"] = exchange.echoed.told()
        if exchange.detail:
            fields["detail"] = scrub(exchange.detail[:TEXT])
        if exchange.error is not None:
            fields["error"] = scrub(exchange.error[:TEXT])
        if self._masked:
            self._mask(fields)
        return render(fields)

    def _fields(self, exchange: Exchange, duration: float) -> dict[str, Any]:
        """What is always told, in the order of REQUEST."""
        principal = exchange.principal or NOBODY
        decision = exchange.decision
        upstream = exchange.upstream_seconds
        return {
            "ts": self._stamp.text(exchange.time),
            "event": "request",
            "request_id": exchange.id,
            "trace_id": exchange.trace_id or None,
            "generation": exchange.generation,
            "client": exchange.client or None,
            "issuer": principal.issuer,
            "subject": principal.id,
            "scheme": principal.scheme,
            "credential_id": principal.credential_id,
            "roles": principal.roles,
            "route": exchange.route,
            "params": exchange.params,
            "method": exchange.method,
            "path": exchange.path or None,
            "status": exchange.status,
            "reason": exchange.reason,
            "decision": None if decision is None else "allow" if decision.allowed else "deny",
            "rule": None if decision is None else decision.rule,
            "upstream": exchange.upstream,
            "credential": exchange.credential,
            "bytes_in": exchange.bytes_in,
            "bytes_out": exchange.bytes_out,
            "duration_ms": int(duration * 1e6) / 1000,
            "upstream_ms": None if upstream is None else int(upstream * 1e6) / 1000,
            "level": "info",
            "listener": exchange.listener,
        }

    def named(self, name: str, time: float, given: Mapping[str, Any]) -> bytes | None:
        """The line of another event, None when the catalogue does not know it. Fields it does not know are left out."""
        kind = CATALOGUE.get(name)
        if kind is None or name == "request":
            return None
        fields: dict[str, Any] = {"ts": self._stamp.text(time), "event": name, "level": kind.level}
        for field in (*WHO, *kind.fields):
            value = given.get(field)
            fields[field] = scrub(value[:PATH]) if isinstance(value, str) else value
        if self._masked:
            self._mask(fields)
        return render(fields)

    def _mask(self, fields: dict[str, Any]) -> None:
        """Replace subject and client, also where a refusal's detail repeats them."""
        if self._masks.subject is not None and (subject := fields["subject"]):
            realm = str(fields["issuer"])
            self._replace(fields, "subject", str(subject), self._masks.subject(str(subject), realm))
            if account := fields.get("account"):
                fields["account"] = self._masks.subject(str(account), str(fields["provider"]))
        if self._masks.client is not None and (client := fields["client"]):
            self._replace(fields, "client", str(client), self._masks.client(str(client), "client"))
            if fields.get("network"):
                fields["network"] = fields["client"]

    @staticmethod
    def _replace(fields: dict[str, Any], name: str, value: str, masked: str) -> None:
        fields[name] = masked
        for told in ("detail", "error"):
            if isinstance(text := fields.get(told), str):
                fields[told] = text.replace(value, masked)


def fragment(fields: dict[str, Any], names: Sequence[str]) -> str:
    """Some fields of a line, without its braces. Raises TypeError for what is not sayable in JSON."""
    return orjson.dumps({name: fields[name] for name in names}, default=_foreign)[1:-1].decode()


def render(fields: dict[str, Any]) -> bytes:
    """Fields as one line. A line that is too long, or not sayable in UTF-8, is made of cut and escaped texts instead."""
    try:
        line = orjson.dumps(fields, default=_foreign, option=orjson.OPT_APPEND_NEWLINE)
    except (TypeError, ValueError):
        line = b""
    if not line or len(line) > LINE:
        cut = {name: _cut(value, PATH if name == "path" else TEXT) for name, value in fields.items()}
        line = orjson.dumps(cut, option=orjson.OPT_APPEND_NEWLINE)
    return sealed(line)


def _foreign(value: Any) -> str:
    """What JSON has no word for. Bytes are told by their length: nothing raw belongs here."""
    return f"<{len(value)} bytes>" if isinstance(value, bytes | bytearray) else str(value)


def _cut(value: Any, limit: int, depth: int = 3) -> Any:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 53 else str(value)
    if isinstance(value, Mapping) and depth:
        shown = list(value.items())[:ITEMS]
        return {_cut(str(name), ITEM): _cut(item, ITEM, depth - 1) for name, item in shown}
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_cut(item, ITEM, depth - 1) for item in list(value)[:ITEMS]]
    text = visible(_foreign(value)[: limit + 1])
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS
