"""`then:` as written: what an allow rule demands beside the permission (policy-language.md 2.2). A closed vocabulary."""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from gateway.config.values import Duration, Model, Rate, RateText, Size, Token
from gateway.core.json_path import JsonPath, parse
from gateway.core.obligations import Style

LONGEST_VALUE: Final = 4096
"""Bytes of a field's value."""
MOST: Final = 100
"""Paths and fields that one rule may name."""
# RFC 9470 3 puts them into a quoted string, separated by spaces.
CONTEXT: Final = r"^[!#-\[\]-~]{1,128}$"

Expression = Annotated[str, Field(min_length=1)]


def _path(value: Any) -> JsonPath:
    if not isinstance(value, str):
        raise ValueError("a path is written like $.user.email")
    return parse(value)


Path = Annotated[
    JsonPath, BeforeValidator(_path), WithJsonSchema({"type": "string", "pattern": r"^\$", "examples": ["$.items[*].email"]})
]
Context = Annotated[str, Field(pattern=CONTEXT)]
StyleName = Annotated[Style, BeforeValidator(lambda value: Style(value) if isinstance(value, str) else value)]


class Place(Model):
    """One place of an answer, with a style of its own where it has one. Its path alone is written as text."""

    path: Path
    style: StyleName | None = None


def _place(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


PlaceOrPath = Annotated[Place, BeforeValidator(_place, json_schema_input_type=Path | Place)]


class Redact(Model):
    """Which values of a JSON answer are removed or masked; `style` is for those places that name none."""

    response: Annotated[list[PlaceOrPath], Field(min_length=1, max_length=MOST)]
    style: StyleName = Style.REMOVE


class Fields(Model):
    """What a JSON answer may hold: everything else is left out."""

    fields: Annotated[list[Path], Field(min_length=1, max_length=MOST)]


class StepUp(Model):
    """How and when the client's user must have logged in (RFC 9470): one of `acr`, all of `amr`, at most `max_age` ago."""

    acr: Context | Annotated[list[Context], Field(min_length=1, max_length=16)] | None = None
    amr: Annotated[list[Context], Field(min_length=1, max_length=16)] | None = None
    max_age: Duration | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if self.acr is None and self.amr is None and self.max_age is None:
            raise ValueError("`step_up` names at least one of `acr`, `amr` and `max_age`")
        if self.max_age is not None and (self.max_age < 1 or self.max_age % 1):
            raise ValueError("`max_age` is a whole number of seconds, at least one")
        return self


VALUE: Final = re.compile(rf"[!-~](?:[ -~]{{0,{LONGEST_VALUE - 2}}}[!-~])?", re.ASCII)


def _text(value: Any) -> Any:
    if isinstance(value, str) and not VALUE.fullmatch(value):
        raise ValueError(f"a field's value is visible ASCII, spaces within, at most {LONGEST_VALUE} characters")
    return value


class Value(Model):
    """A field's value: `text`, written without this key where it is all, or the string that the expression `cel` gives."""

    text: Annotated[str, BeforeValidator(_text)] | None = None
    cel: Expression | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.text is None) == (self.cel is None):
            raise ValueError("a field's value is text, or {cel: an expression}")
        return self


def _value(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


TextOrValue = Annotated[Value, BeforeValidator(_value, json_schema_input_type=str | Value)]


class Require(Model):
    """What an answer must be to be seen; `hidden` makes the refusal a 404."""

    when: Expression
    hidden: bool = False


def _require(value: Any) -> Any:
    return {"when": value} if isinstance(value, str) else value


WhenOrRequire = Annotated[Require, BeforeValidator(_require, json_schema_input_type=str | Require)]


class Then(Model):
    """What an allow rule demands. All that matching rules demand adds up; for the same key the stricter counts."""

    redact: Redact | None = None
    response: Fields | None = None
    require_response: WhenOrRequire | None = None
    rate_limit: RateText | None = None
    step_up: StepUp | None = None
    audit: Literal["full"] | None = None
    set_header: Annotated[dict[Token, TextOrValue], Field(min_length=1, max_length=MOST)] | None = None
    max_body: Size | None = None

    @model_validator(mode="after")
    def _demands_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("`then` names at least one obligation")
        return self


class Expected(Model):
    """What a case expects an allowed request to carry: each key that stands here matches exactly, others are not looked at."""

    redact: Redact | None = None
    response: Fields | None = None
    require_response: WhenOrRequire | Annotated[list[WhenOrRequire], Field(min_length=1)] | None = None
    rate_limit: RateText | Annotated[list[RateText], Field(min_length=1)] | None = None
    step_up: StepUp | None = None
    audit: Literal["full"] | None = None
    set_header: Annotated[dict[Token, str], Field(min_length=1)] | None = None
    max_body: Size | None = None

    @property
    def rates(self) -> list[Rate]:
        """The rates, one or several."""
        if self.rate_limit is None:
            return []
        return self.rate_limit if isinstance(self.rate_limit, list) else [self.rate_limit]

    @property
    def requirements(self) -> list[Require]:
        """The requirements, one or several."""
        if self.require_response is None:
            return []
        return self.require_response if isinstance(self.require_response, list) else [self.require_response]
