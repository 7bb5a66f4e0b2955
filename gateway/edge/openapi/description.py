"""A whole description, compiled at load: all its operations by path and method. What is wrong is told for all of them at once."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.core.errors import ConfigError, MethodNotAllowed, NoRoute, Problem
from gateway.core.media import is_json, media_type
from gateway.edge.keywords import Steps, subschemas, unknown_type
from gateway.edge.media import FORM
from gateway.edge.model import OpenApi
from gateway.edge.openapi.dialect import FORMATS, Dialect
from gateway.edge.openapi.document import Document
from gateway.edge.openapi.operation import Content, Operation, form_fields
from gateway.edge.openapi.parameter import NOT_PARAMETERS, PLACES, Parameter
from gateway.edge.openapi.templates import Templates, names
from gateway.edge.pointer import pointer
from gateway.edge.schema import Schema

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
MOST_OPERATIONS: Final = 20_000
MOST_PROBLEMS: Final = 50

Methods = dict[str, Operation]


class Description:
    """The operations of a description. `base` are the segments its paths stand behind."""

    __slots__ = ("base", "count", "templates")

    def __init__(self, templates: Templates[Methods], base: tuple[str, ...], count: int) -> None:
        self.templates = templates
        self.base = base
        self.count = count

    def operation(self, segments: tuple[str, ...], method: str) -> tuple[Operation, tuple[str, ...]]:
        """The operation of a canonical path's segments, and its parameters' values. Raises NoRoute and MethodNotAllowed."""
        depth = len(self.base)
        found = self.templates.find(segments[depth:]) if segments[:depth] == self.base else None
        if found is None:
            raise NoRoute("the description has no such path")
        methods, captured = found
        operation = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
        if operation is None:
            allowed = [*methods, *(["HEAD"] if "GET" in methods and "HEAD" not in methods else [])]
            raise MethodNotAllowed("not in the description", headers=[(b"allow", ", ".join(allowed).encode())])
        return operation, captured


def compiled(text: bytes, model: OpenApi) -> Description:
    """The description in a file. Raises ConfigError with what is wrong in it, ValueError where it is none."""
    document = Document(text, str(model.file))
    work = Compiler(document, model)
    templates: Templates[Methods] = Templates()
    for path in document.paths:
        if not path.startswith("x-"):
            work.attempt(path, partial(work.path, templates, path))
    if work.problems:
        raise ConfigError([Problem(str(model.file), 0, 0, "", message) for message in work.problems[:MOST_PROBLEMS]])
    if not work.count:
        raise ValueError("the description has no operations")
    return Description(templates, base(document, model), work.count)


def base(document: Document, model: OpenApi) -> tuple[str, ...]:
    """The segments before every path: those that the route says, else those of the servers. Raises ValueError."""
    if model.base is not None:
        text = model.base
    else:
        servers = document.root.get("servers") or [{"url": "/"}]
        found = {urlsplit(str(server.get("url", "/"))).path.rstrip("/") for server in servers if isinstance(server, dict)}
        if len(found) != 1 or "{" in next(iter(found)):
            raise ValueError("servers: have different paths, or variables in them; say which one counts by `base`")
        text = found.pop()
    return tuple(text.strip("/").split("/")) if text.strip("/") else ()


class Compiler:
    """Makes operations of a document's nodes, and notes what is wrong with each."""

    def __init__(self, document: Document, model: OpenApi) -> None:
        self._document = document
        self._model = model
        lenient = model.unknown_formats == "ignore"
        self._requests = Dialect(document, hidden="readOnly", lenient=lenient)
        self._answers = Dialect(document, hidden="writeOnly", lenient=lenient)
        self.problems: list[str] = []
        self.count = 0

    def attempt(self, place: str, make: Callable[[], None]) -> None:
        """Run `make`; what is wrong is noted at `place`."""
        try:
            make()
        except ValueError as error:
            self.problems.append(f"{place}: {error}")
        except RecursionError:
            self.problems.append(f"{place}: nested too deeply")

    def path(self, templates: Templates[Methods], path: str) -> None:
        """All operations of one path. Raises ValueError for the path itself."""
        item = self._document.resolved(self._document.paths[path], "path")
        methods: Methods = {}
        for method in METHODS:
            if method in item:
                name = f"{method.upper()} {path}"
                self.attempt(name, partial(self._add, methods, name, path, item))
        self.count += len(methods)
        if self.count > MOST_OPERATIONS:
            raise ValueError(f"more than {MOST_OPERATIONS} operations")
        if methods:
            templates.add(path, methods, rest=self._rest(path, item))

    def _add(self, methods: Methods, name: str, path: str, item: dict[str, Any]) -> None:
        method = name.partition(" ")[0]
        methods[method] = self._operation(name, path, item, item[method.lower()])

    def _rest(self, path: str, item: dict[str, Any]) -> bool:
        """Whether the last parameter takes several segments, as GitHub's description says of file paths."""
        last = path.rpartition("/")[2]
        nodes = [
            self._document.resolved(node, "parameters") for method in METHODS for node in _list(item.get(method), "parameters")
        ]
        return any(node.get("x-multi-segment") is True and last == f"{{{node.get('name')}}}" for node in nodes)

    def _operation(self, name: str, path: str, item: dict[str, Any], node: Any) -> Operation:
        node = self._document.resolved(node, "operation")
        parameters = self._parameters(item, node, name)
        by_name = {each.name: each for each in parameters if each.place == "path"}
        known = names(path)
        if unknown := by_name.keys() - set(known):
            raise ValueError(f"parameters: the path has no {{{min(unknown)}}}")
        body, required = self._body(node)
        return Operation(
            name,
            [by_name.get(each) for each in known],
            parameters,
            Schema(self._requests.alone(self._object(parameters), "parameters"), FORMATS),
            body,
            body_required=required,
            answers=self._described(node) if self._model.responses != "off" else None,
        )

    def _parameters(self, item: dict[str, Any], node: dict[str, Any], name: str) -> list[Parameter]:
        """An operation's own parameters override those of its path."""
        found: dict[tuple[str, str], Parameter] = {}
        method, _, path = name.partition(" ")
        for owner, steps in ((item, ("paths", path)), (node, ("paths", path, method.lower()))):
            for number, each in enumerate(_list(owner, "parameters")):
                place = f"parameters/{number}"
                made = Parameter(self._document, self._document.resolved(each, place), place)
                _judge_types(made, each, (*steps, "parameters", number))
                if made.place != "header" or made.name not in NOT_PARAMETERS:
                    found[made.place, made.name] = made
        return list(found.values())

    def _object(self, parameters: list[Parameter]) -> dict[str, Any]:
        """The schema of all parameters, by place and name."""
        places: dict[str, Any] = {}
        for place in sorted(PLACES):
            here = [each for each in parameters if each.place == place]
            places[place] = {
                "type": "object",
                "properties": {each.name: each.schema for each in here},
                "required": [each.name for each in here if each.required],
            }
        if self._model.unknown_query == "refuse":
            places["query"]["additionalProperties"] = False
        return {"type": "object", "properties": places}

    def _body(self, node: dict[str, Any]) -> tuple[Content | None, bool]:
        if "requestBody" not in node:
            return None, False
        body = self._document.resolved(node["requestBody"], "requestBody")
        return self._content(self._requests, body, "requestBody"), body.get("required") is True

    def _described(self, node: dict[str, Any]) -> dict[str, Content]:
        answers = node.get("responses")
        if not isinstance(answers, dict):
            raise ValueError("responses: expected a mapping")
        found = {}
        for status, answer in answers.items():
            place = f"responses/{status}"
            if not str(status).startswith("x-"):
                found[str(status).upper()] = self._content(self._answers, self._document.resolved(answer, place), place)
        return found

    def _content(self, dialect: Dialect, owner: dict[str, Any], place: str) -> Content:
        content = owner.get("content") or {}
        if not isinstance(content, dict):
            raise ValueError(f"{place}/content: expected a mapping")
        schemas: dict[str, Schema | None] = {}
        fields = {}
        for type_, node in content.items():
            essence = media_type(str(type_))
            schema = node.get("schema", True) if isinstance(node, dict) else True
            read = is_json(essence) or essence == FORM or "*" in essence
            schemas[essence] = Schema(dialect.alone(schema, f"{place}/content/{type_}"), FORMATS) if read else None
            if essence == FORM:
                fields = form_fields(self._document.root, schema)
        return Content(schemas, fields)


def _judge_types(parameter: Parameter, node: Any, steps: Steps) -> None:
    """Raises ValueError with the place in the document: the schema of all parameters, told of later, stands nowhere in it."""
    reference = node.get("$ref") if isinstance(node, dict) else None
    owner = reference if isinstance(reference, str) else f"#{pointer(steps)}"
    inner = "content/application~1json/schema" if parameter.is_json else "schema"
    for way, schema in subschemas(parameter.schema):
        if wrong := unknown_type(schema):
            raise ValueError(f"{owner}/{inner}{pointer((*way, 'type'))}: {wrong}")


def _list(owner: Any, key: str) -> Iterator[Any]:
    found = owner.get(key) if isinstance(owner, Mapping) else None
    if found is not None and not isinstance(found, list):
        raise ValueError(f"{key}: expected a list")
    yield from found or ()
