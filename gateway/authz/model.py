"""The kinds of policy documents as models: Roles, Policy, IpSets and PolicyTest (policy-language.md 2.2)."""

import re
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from gateway.authz.cel.networks import Network
from gateway.authz.cel.values import Timestamp
from gateway.authz.permissions import PATTERN, PERMISSION
from gateway.authz.then import Expected, Expression, Then
from gateway.config.values import VARIABLE, Method, Model, Name

METHODS: Final[tuple[str, ...]] = get_args(Method)
SUBJECT: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*):(.+)", re.ASCII | re.DOTALL)

MOST_DEFINITIONS: Final = 100
MOST_NETWORKS: Final = 100_000

Version = Literal["gateway/v1"]
Mode = Literal["enforce", "shadow"]
Methods = Annotated[list[Method], Field(min_length=1)] | Literal["any"]
Effect = Literal["allow", "deny"]
Outcome = Literal["allow", "deny", "challenge"]


def _permission(value: Any) -> Any:
    if isinstance(value, str) and not PERMISSION.fullmatch(value):
        raise ValueError("a permission that a rule asks for is written resource:action, without wildcards")
    return value


def _pattern(value: Any) -> Any:
    if isinstance(value, str) and not PATTERN.fullmatch(value):
        raise ValueError("a permission is written resource:action; either may be *")
    return value


def _subject(value: Any) -> Any:
    if isinstance(value, str) and not SUBJECT.fullmatch(value):
        raise ValueError("a subject is written issuer:id")
    return value


def _moment(value: Any) -> Any:
    if isinstance(value, str):
        Timestamp.parse(value)
    return value


def _network(value: Any) -> Any:
    if isinstance(value, str):
        Network(value)
    return value


def _later(_: Any) -> None:
    raise ValueError("this is not available yet")


Permission = Annotated[str, BeforeValidator(_permission), WithJsonSchema({"type": "string", "pattern": f"^{PERMISSION.pattern}$"})]
Pattern = Annotated[str, BeforeValidator(_pattern), WithJsonSchema({"type": "string", "pattern": f"^{PATTERN.pattern}$"})]
SubjectText = Annotated[str, BeforeValidator(_subject), WithJsonSchema({"type": "string", "examples": ["mtls:ci", "corp:alice"]})]
Moment = Annotated[
    str, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2027-01-31T18:00:00Z"]})
]
NetworkText = Annotated[str, BeforeValidator(_network), WithJsonSchema({"type": "string", "examples": ["10.0.0.0/8"]})]
Variable = Annotated[str, Field(pattern=VARIABLE)]
Later = Annotated[None, BeforeValidator(_later), WithJsonSchema({"not": {}})]
"""A key of the language that exists on paper: naming it is an error of its own."""

Expressions = Expression | Annotated[list[Expression], Field(min_length=1)]


class Role(Model):
    """A named set of permissions, with those of the roles it extends. Whoever holds a `break_glass` role is audited in full."""

    extends: list[Name] = []
    permissions: list[Pattern] = []
    break_glass: bool = False


class Binding(Model):
    """Who gets a role: by a claim of one issuer's tokens, by groups, by a condition, or by name. Exactly one of these.

    `groups` and `subjects` are written issuer:name. From `expires_at` on it gives nothing.
    """

    from_claim: Annotated[str, Field(min_length=1)] | None = None
    issuer: Name | None = None
    only: Annotated[list[Name], Field(min_length=1)] | None = None
    role: Name | None = None
    when: Expressions | None = None
    groups: Annotated[list[SubjectText], Field(min_length=1)] | None = None
    subjects: Annotated[list[SubjectText], Field(min_length=1)] | None = None
    expires_at: Moment | None = None

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        kinds = [kind for kind in (self.when, self.groups, self.subjects) if kind is not None]
        if self.from_claim is not None:
            if self.role is not None or kinds:
                raise ValueError("`from_claim` stands with `issuer` and `only`, nothing else")
            if self.issuer is None or self.only is None:
                raise ValueError("`from_claim` needs `issuer` and `only`: whose tokens, and which roles they can give at most")
        elif self.role is None:
            raise ValueError("a binding has `from_claim`, or `role` with `when`, `groups` or `subjects`")
        elif len(kinds) != 1:
            raise ValueError("`role` stands with exactly one of `when`, `groups` and `subjects`")
        elif self.issuer is not None or self.only is not None:
            raise ValueError("`issuer` and `only` belong to `from_claim`")
        return self


class Roles(Model):
    """kind: Roles."""

    api_version: Annotated[Version, Field(alias="apiVersion")]
    kind: Literal["Roles"]
    roles: dict[Name, Role | list[Pattern]] = {}
    bindings: list[Binding] = []


class Rule(Model):
    """One line of a policy: allow or deny these methods, to those who hold the permission, when the conditions hold."""

    name: Name
    allow: Methods | None = None
    deny: Methods | None = None
    permission: Permission | None = None
    when: Expressions | None = None
    unless: Expression | None = None
    reason: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    mode: Mode = "enforce"
    expires_at: Moment | None = None
    then: Then | None = None
    tools: Later = None

    @model_validator(mode="after")
    def _is_one_effect(self) -> Self:
        if (self.allow is None) == (self.deny is None):
            raise ValueError("a rule has exactly one of `allow` and `deny`")
        if self.deny is not None and self.permission is not None:
            raise ValueError("a deny applies to everybody: say whom it spares with `unless`, not with `permission`")
        if self.allow is not None and self.reason is not None:
            raise ValueError("`reason` belongs to a deny")
        if self.deny is not None and self.then is not None:
            raise ValueError("`then` belongs to an allow: what is denied needs no conditions")
        return self


class Policy(Model):
    """kind: Policy. `let` gives expressions a name for the conditions of this file."""

    api_version: Annotated[Version, Field(alias="apiVersion")]
    kind: Literal["Policy"]
    name: Name
    routes: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
    mode: Mode = "enforce"
    let: Annotated[dict[Variable, Expression], Field(max_length=MOST_DEFINITIONS)] = {}
    rules: Annotated[list[Rule], Field(min_length=1)]


class IpSets(Model):
    """kind: IpSets. Networks by name, for `inSet(request.client_ip, 'name')` in every policy."""

    api_version: Annotated[Version, Field(alias="apiVersion")]
    kind: Literal["IpSets"]
    sets: Annotated[dict[Name, Annotated[list[NetworkText], Field(max_length=MOST_NETWORKS)]], Field(min_length=1)]


class Subject(Model):
    """Somebody in a test: what an authenticator would have verified. `roles` and `permissions` are given directly."""

    id: Annotated[str, Field(min_length=1)] | None = None
    issuer: Name = "test"
    scheme: Literal["jwt", "introspection", "hmac", "signature", "api_key", "mtls", "session", "anonymous"] = "jwt"
    roles: list[Name] | None = None
    permissions: list[Pattern] | None = None
    groups: list[str] = []
    scopes: list[str] = []
    scope_ceiling: bool = False
    claims: dict[str, Any] = {}


class Answered(Model):
    """What the upstream answers to a case. `body` is the JSON it holds; text as it stands where `content_type` is another type."""

    status: Annotated[int, Field(ge=200, le=599)] = 200
    content_type: Annotated[str, Field(pattern=r"^[ -~]+$")] = "application/json"
    body: Any = None


class Seen(Model):
    """What a client gets of an answer: a body that is exactly this. What was hashed is written `hmac:`."""

    body: Any


class Case(Model):
    """One request and what each subject is answered; a subject not listed is expected to be denied.

    `body` is what a JSON body holds; without it `request.body` has no value. `challenge` is an allow whose `step_up` the subject's
    login does not fulfil; `then` holds for those who are expected to be allowed. With `response`, `sees` says what each of them
    gets of that answer: a body, none (`empty`), or a refusal, 403 (`withheld`) or 404 (`not-found`).
    """

    name: str | None = None
    request: Annotated[str, Field(pattern=r"^[A-Z]+ /\S*$")]
    host: str = "gateway.test"
    from_: Annotated[str, Field(alias="from")] = "192.0.2.1"
    headers: dict[str, str | list[str]] = {}
    body: Any = None
    now: str | None = None
    expect: dict[str, Outcome] = {}
    rule: str | None = None
    then: Expected | None = None
    response: Answered | None = None
    sees: dict[str, Seen | Literal["withheld", "not-found", "empty"]] = {}


class PolicyTest(Model):
    """kind: PolicyTest."""

    api_version: Annotated[Version, Field(alias="apiVersion")]
    kind: Literal["PolicyTest"]
    name: Name
    subjects: Annotated[dict[str, Subject], Field(min_length=1)]
    cases: Annotated[list[Case], Field(min_length=1)]


KINDS: Final[dict[str, type[Roles] | type[Policy] | type[IpSets] | type[PolicyTest]]] = {
    "Roles": Roles,
    "Policy": Policy,
    "IpSets": IpSets,
    "PolicyTest": PolicyTest,
}
