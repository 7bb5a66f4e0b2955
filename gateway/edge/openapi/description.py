"""A whole description, compiled at load: all its operations by path and method. What is wrong is told for all of them at once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple
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
from gateway.edge.openapi.told import Telling, Told
from gateway.edge.pointer import pointer
from gateway.edge.reading import Reading
from gateway.edge.schema import Schema

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
MOST_OPERATIONS: Final = 20_000
MOST_PROBLEMS: Final = 50

Methods = dict[str, Operation]


class Bodies(NamedTuple):
    """Schemas that stand alone by media type, None where the type alone counts; and how the fields of a form are read."""

    schemas: dict[str, Any]
    fields: dict[str, Reading]

    def content(self) -> Content:
        """Compiled. Raises ValueError."""
        made = {type_: None if schema is None else Schema(schema, FORMATS) for type_, schema in self.schemas.items()}
        return Content(made, self.fields)


class Description:
    """The operations of a description. `base` are the segments its paths stand behind, `told` what clients may know of them."""

    __slots__ = ("base", "count", "templates", "told")

    def __init__(self, templates: Templates[Methods], base: tuple[str, ...], count: int, told: Sequence[Told] = ()) -> None:
        self.templates = templates
        self.base = base
        self.count = count
        self.told = told

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


def compiled(text: bytes, model: OpenApi, *, tell: bool = False) -> Description:
    """The description in a file. Raises ConfigError with what is wrong in it, ValueError where it is none.

    `tell`: clients are told of its operations.
    """
    document = Document(text, str(model.file))
    work = Compiler(document, model, tell=tell)
    templates: Templates[Methods] = Templates()
    for path in document.paths:
        if not path.startswith("x-"):
            work.attempt(path, partial(work.path, templates, path))
    if work.problems:
        raise ConfigError([Problem(str(model.file), 0, 0, "", message) for message in work.problems[:MOST_PROBLEMS]])
    if not work.count:
        raise ValueError("the description has no operations")
    return Description(templates, base(document, model), work.count, work.telling.told if work.telling else ())


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

    def __init__(self, document: Document, model: OpenApi, *, tell: bool) -> None:
        self._document = document
        self.telling = Telling() if tell else None
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
        schema = self._requests.alone(self._object(parameters), "parameters")
        if self.telling is not None:
            bodies = None if body is None else body.schemas
            self.telling.add(name, node, schema, bodies, required=required, rest=self._rest(path, item))
        return Operation(
            name,
            [by_name.get(each) for each in known],
            parameters,
            Schema(schema, FORMATS),
            None if body is None else body.content(),
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

    def _body(self, node: dict[str, Any]) -> tuple[Bodies | None, bool]:
        if "requestBody" not in node:
            return None, False
        body = self._document.resolved(node["requestBody"], "requestBody")
        return self._bodies(self._requests, body, "requestBody"), body.get("required") is True

    def _described(self, node: dict[str, Any]) -> dict[str, Content]:
        answers = node.get("responses")
        if not isinstance(answers, dict):
            raise ValueError("responses: expected a mapping")
        found = {}
        for status, answer in answers.items():
            place = f"responses/{status}"
            if not str(status).startswith("x-"):
                bodies = self._bodies(self._answers, self._document.resolved(answer, place), place)
                found[str(status).upper()] = bodies.content()
        return found

    def _bodies(self, dialect: Dialect, owner: dict[str, Any], place: str) -> Bodies:
        content = owner.get("content") or {}
        if not isinstance(content, dict):
            raise ValueError(f"{place}/content: expected a mapping")
        found = Bodies({}, {})
        for type_, node in content.items():
            essence = media_type(str(type_))
            schema = node.get("schema", True) if isinstance(node, dict) else True
            read = is_json(essence) or essence == FORM or "*" in essence
            found.schemas[essence] = dialect.alone(schema, f"{place}/content/{type_}") if read else None
            if essence == FORM:
                found.fields.update(form_fields(self._document.root, schema))
        return found


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
