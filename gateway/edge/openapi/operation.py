"""One operation of a description, compiled: what its parameters and its body must be."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.core.errors import BadRequest
from gateway.core.form import decode_query
from gateway.core.media import is_json
from gateway.core.message import Head, Request
from gateway.core.strict_json import InvalidJson, parse
from gateway.edge.media import FORM
from gateway.edge.openapi.parameter import Parameter
from gateway.edge.parameters import ambiguous, field_lines
from gateway.edge.pointer import Finding
from gateway.edge.reading import Present, Reading, declared
from gateway.edge.schema import Schema

COOKIE: Final = b"cookie"


class Content:
    """Bodies by media type, each with its schema; None where the type alone counts."""

    __slots__ = ("_fields", "_schemas")

    def __init__(self, schemas: Mapping[str, Schema | None], fields: Mapping[str, Reading]) -> None:
        """`schemas` by media type or range in lower case; `fields` read those of a form."""
        self._schemas = schemas
        self._fields = fields

    def find(self, essence: str) -> str | None:
        """The type or range that a media type belongs to, most specific first; None where it is none of these."""
        for each in (essence, f"{essence.partition('/')[0]}/*", "*/*"):
            if each in self._schemas and essence:
                return each
        return None

    def is_inspected(self, key: str, essence: str) -> bool:
        """Whether a body of this type has to be read."""
        return self._schemas[key] is not None and (is_json(essence) or essence == FORM)

    def findings(self, key: str, essence: str, body: bytes) -> list[Finding]:
        """What is wrong with a body."""
        schema = self._schemas[key]
        if schema is None:
            return []
        try:
            value = parse(body) if essence != FORM else self._form(body)
        except InvalidJson as error:
            return [("", str(error))]
        except BadRequest:
            return [("", "form")]
        return schema.findings(value, len(body))

    def _form(self, body: bytes) -> dict[str, Present]:
        found = decode_query(body)
        if wrong := ambiguous(body, found, self._fields):
            raise InvalidJson(wrong[1])
        return {name: self._fields[name].values(texts) if name in self._fields else texts[0] for name, texts in found.items()}


class Operation:
    """What one method of one path takes and gives. `schema` is that of an object of the parameters by place and name."""

    __slots__ = ("_cookies", "_headers", "_known", "_path", "_query", "_schema", "answers", "body", "body_required", "name")

    def __init__(
        self,
        name: str,
        path: Sequence[Parameter | None],
        parameters: Sequence[Parameter],
        schema: Schema,
        body: Content | None,
        *,
        body_required: bool,
        answers: Mapping[str, Content] | None,
    ) -> None:
        self.name = name
        self._path = path
        self._query = [each for each in parameters if each.place == "query"]
        self._headers = [each for each in parameters if each.place == "header"]
        self._cookies = [each for each in parameters if each.place == "cookie"]
        self._known = {each.name: each for each in self._query}
        self._schema = schema
        self.body = body
        self.body_required = body_required
        self.answers = answers

    def findings(self, request: Request, captured: Sequence[str]) -> list[Finding]:
        """What is wrong with the parameters. Raises BadRequest query-invalid for a query that cannot be decoded."""
        raw = request.query or b""
        found = decode_query(raw) if raw else {}
        if found:
            known = self._known if not self._deep(found) else {**self._known, **dict.fromkeys(found)}
            if wrong := ambiguous(raw, found, known):
                return [("/query", wrong[1])]
        try:
            value = {
                "path": self._captured(captured),
                "query": self._queried(found),
                "header": self._fielded(request.head),
                "cookie": self._baked(request.head),
            }
        except InvalidJson as error:
            return [("/query", str(error))]
        except Ambiguous as error:
            return [error.finding]
        return self._schema.findings(value, len(raw))

    def _captured(self, captured: Sequence[str]) -> dict[str, Present]:
        return {each.name: each.read([text]) for each, text in zip(self._path, captured, strict=True) if each is not None}

    def _deep(self, found: dict[str, list[str]]) -> dict[str, dict[str, Present]]:
        """The members of deepObjects, by parameter: `filter[state]=open`."""
        deep: dict[str, dict[str, Present]] = {}
        for each in self._query:
            for name, texts in found.items() if each.fields is not None else ():
                member = name[len(each.name) + 1 : -1]
                if name == f"{each.name}[{member}]" and each.fields is not None and "[" not in member and "]" not in member:
                    reading = each.fields.get(member)
                    deep.setdefault(each.name, {})[member] = texts[0] if reading is None else reading.values(texts)
        return deep

    def _queried(self, found: dict[str, list[str]]) -> dict[str, Present]:
        if not found:
            return {}
        deep = self._deep(found)
        read: dict[str, Present] = {**deep}
        for name, texts in found.items():
            known = self._known.get(name)
            if known is not None and known.fields is None:
                read[name] = known.read(texts)
            elif name.partition("[")[0] not in deep:
                read[name] = texts[0] if len(texts) == 1 else list(texts)
        return read

    def _fielded(self, head: Head) -> dict[str, Present]:
        sent: dict[str, Present] = {}
        for each in self._headers:
            lines = field_lines(head, each.name.encode())
            if lines is None or (len(lines) > 1 and not each.reading.is_array):
                raise Ambiguous((f"/header/{each.name}", "encoding" if lines is None else "repeated"))
            if lines:
                sent[each.name] = each.read([joined(lines)] if each.reading.is_array else lines)
        return sent

    def _baked(self, head: Head) -> dict[str, Present]:
        if not self._cookies:
            return {}
        pairs = [pair.partition("=") for line in field_lines(head, COOKIE) or () for pair in line.split(";")]
        sent: dict[str, list[str]] = {}
        for name, _, text in pairs:
            sent.setdefault(name.strip(" \t"), []).append(text.strip(" \t"))
        if any(len(sent.get(each.name, ())) > 1 for each in self._cookies):
            raise Ambiguous(("/cookie", "repeated"))
        return {each.name: each.read(sent[each.name]) for each in self._cookies if each.name in sent}


class Ambiguous(Exception):
    """A parameter that servers would read differently."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding[1])
        self.finding = finding


def joined(lines: list[str]) -> str:
    """A list field in one line (RFC 9110 5.6.1), without white space around its members."""
    return ",".join(member.strip(" \t") for line in lines for member in line.split(","))


def form_fields(document: Any, schema: Any) -> dict[str, Reading]:
    """How the fields of a form are read."""
    return {name: Reading(document, each) for name, each in declared(document, schema).items()}
