"""The configuration of authentication (CONTRACT 2, `authentication:`)."""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from gateway.authn.dpop_model import Dpop
from gateway.authn.jwks_model import Jwks
from gateway.authn.login.model import LoginProvider, Sessions
from gateway.authn.signatures.model import FIELDS, Signatures
from gateway.authn.urls import check_url
from gateway.authn.workload_model import IN_CLUSTER, Mtls, Spiffe
from gateway.config.values import Duration, FilePath, Model, Name, SecretRef, Size, Token
from gateway.core.placeholders import MARK
from gateway.core.principal import ANONYMOUS, OWN_ISSUERS

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"
]
RESERVED: Final = OWN_ISSUERS | {ANONYMOUS}
"""Issuers of principals that no token issuer may be named after."""
STATING: Final = ("jwt", "introspection")
NAMED: Final = (*STATING, "hmac", "signatures", "login")
"""The kinds of which there may be several, each entry named: a route accepts `KIND.NAME`, and NAME is the principals' issuer."""
UNSIGNABLE: Final = frozenset(
    {"authorization", "cookie", "host", "content-length", "transfer-encoding", "connection", "signature-input"}
)
"""Header fields in which no signature is looked for."""
WAIVED: Final = "none"
"""`issuer: none` and `audience: none` are explicit waivers (CONTRACT 2)."""


class CookieSource(Model):
    """A token carried in a cookie."""

    cookie: Token


class Stated(Model):
    """What an issuer's statements about somebody must say, and which of them make the principal."""

    issuer: Annotated[str, Field(min_length=1)]
    audience: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] | Literal["none"]
    subject: str = "sub"
    groups: str = "groups"
    scopes: str = "scope"
    scope_ceiling: bool = False
    leeway: Annotated[Duration, Field(le=300)] = 30.0
    required_claims: list[str] = ["exp"]
    max_bytes: Annotated[Size, Field(ge=64, le=65536)] = 8192


class JwtIssuer(Stated):
    """One issuer whose tokens are accepted."""

    jwks: Jwks | None = None
    secret: SecretRef | None = None
    profile: Literal["rfc9068"] | None = None
    spiffe: Spiffe | None = None
    kubernetes: bool = False
    algorithms: Annotated[list[Algorithm], Field(min_length=1)]
    from_: Annotated[list[Literal["bearer"] | CookieSource], Field(alias="from", min_length=1)] = ["bearer"]
    types: Annotated[list[str], Field(min_length=1)] = ["JWT", "at+jwt"]

    @property
    def accepted_types(self) -> list[str]:
        """The `typ` of its tokens' headers."""
        if self.spiffe is not None:
            return ["JWT", "JOSE"]
        return self.types if self.profile is None else ["at+jwt"]

    @property
    def known_as(self) -> str:
        """What its tokens are told from others by: the exact `iss`, or the trust domain where JWT-SVIDs have none."""
        return self.issuer if self.spiffe is None or self.issuer != WAIVED else f"spiffe://{self.spiffe.trust_domain}"

    @model_validator(mode="before")
    @classmethod
    def _asks_its_cluster(cls, value: Any) -> Any:
        """A pod finds the keys of its own cluster without being told."""
        if isinstance(value, dict) and value.get("kubernetes") is True and not {"jwks", "secret"} & value.keys():
            return {**value, "jwks": IN_CLUSTER}
        return value

    @model_validator(mode="after")
    def _workload_holds(self) -> Self:
        """JWT-SVID 3, and bound tokens of Kubernetes: what tells a workload's token from another's cannot be waived."""
        if self.spiffe is None and not self.kubernetes:
            return self
        if self.profile is not None or (self.spiffe is not None and (self.kubernetes or "types" in self.model_fields_set)):
            raise ValueError("one of `profile`, `spiffe` and `kubernetes`, and no `types` with `spiffe`, says what its tokens are")
        if self.audience == WAIVED or self.subject != "sub" or "exp" not in self.required_claims or self.secret is not None:
            raise ValueError("tokens of workloads need `audience`, `jwks`, the claim `exp`, and `sub` as their subject")
        return self

    @model_validator(mode="after")
    def _profile_holds(self) -> Self:
        """RFC 9068 4: what tells an access token from any other statement of the same issuer cannot be waived."""
        if self.profile is not None and "types" in self.model_fields_set:
            raise ValueError("`profile: rfc9068` accepts `typ: at+jwt` only: leave `types` out")
        if self.profile is not None and WAIVED in (self.issuer, self.audience):
            raise ValueError("`profile: rfc9068` needs `issuer` and `audience`: neither can be waived")
        return self

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        """RFC 8725 3.1: an issuer's keys are public ones or a shared secret, never both, and the algorithms say which."""
        if (self.jwks is None) == (self.secret is None):
            raise ValueError("exactly one of `jwks` and `secret` says how its tokens are verified")
        shared = [name for name in self.algorithms if name.startswith("HS")]
        if self.secret is None and shared:
            raise ValueError(f"{shared[0]} needs `secret`: a public key must never be used as a shared secret")
        if self.secret is not None and len(shared) != len(self.algorithms):
            raise ValueError("with `secret` only HS256, HS384 and HS512 are possible")
        if self.jwks is not None and self.jwks.discovery:
            self._discoverable(self.jwks)
        return self

    def _discoverable(self, jwks: Jwks) -> None:
        if self.issuer == WAIVED:
            raise ValueError("discovery needs an issuer")
        check_url(self.issuer, jwks.allow_plaintext)


class IntrospectionClient(Model):
    """Who the gateway is to an introspection endpoint (RFC 7662 2.1: nobody may ask without saying so)."""

    id: Annotated[str, Field(pattern=r"^[!-~]+( [!-~]+)*$", max_length=1024)]
    secret: SecretRef
    auth: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"


class Introspection(Stated):
    """One issuer whose opaque tokens are accepted, by asking it about each (RFC 7662)."""

    url: str
    client: IntrospectionClient
    required_claims: list[str] = ["exp", "token_type"]
    cache: Annotated[Duration, Field(le=300)] = 60.0
    negative_cache: Annotated[Duration, Field(le=60)] = 10.0
    timeout: Annotated[Duration, Field(gt=0, le=30)] = 5.0
    allow_plaintext: bool = False
    allow_private: bool = False
    ca: FilePath | None = None

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        check_url(self.url, self.allow_plaintext)
        return self


class HmacTimestamp(Model):
    """Where a signed request says when it was signed: a header field, or an item of the signature's with a prefix."""

    header: Token | None = None
    prefix: Annotated[str, Field(pattern=r"^[!-~]{1,16}$")] | None = None
    tolerance: Annotated[Duration, Field(gt=0, le=3600)] = 300.0

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.header is None) == (self.prefix is None):
            raise ValueError("exactly one of `header` and `prefix` says where the time is")
        return self


class HmacCaller(Model):
    """One sender of requests that are signed with a shared secret."""

    header: Token
    secrets: Annotated[list[SecretRef], Field(min_length=1, max_length=4)]
    key: Literal["text", "base64"] = "text"
    subject: Annotated[str, Field(pattern=r"^[!-~]{1,256}$")]
    algorithm: Literal["sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: Annotated[str, Field(pattern=r"^[!-~]{0,32}$")] = ""
    separator: Literal[",", " "] | None = None
    content: Annotated[str, Field(pattern=r"^[ -~]{1,256}$")] = "{body}"
    timestamp: HmacTimestamp | None = None
    id: Token | None = None
    replay: Annotated[Duration, Field(le=7 * 86400)] | None = None
    max_body: Annotated[Size, Field(ge=1, le=64 * 1024 * 1024)] = 1024 * 1024

    @model_validator(mode="after")
    def _signs_what_counts(self) -> Self:
        """What is believed of a request must be within what is signed."""
        if self.header.lower() in UNSIGNABLE:
            raise ValueError(f"`header: {self.header}` has a meaning of its own")
        named = re.findall(r"\{[^{}]*\}", self.content)
        known = {"{body}": True, "{timestamp}": self.timestamp is not None, "{id}": self.id is not None}
        if "}{" in self.content:
            raise ValueError("`content` needs something between its parts: else one could be made longer and the next shorter")
        for name in named:
            if not known.get(name, name in {"{method}", "{target}"}):
                raise ValueError(
                    f"`content` has {name}: there is {{body}}, {{method}}, {{target}}, and what `timestamp` and `id` say"
                )
        for name, needed in known.items():
            if needed and name not in named:
                raise ValueError(f"`content` must have {name}: what is not signed can be changed")
        if self.timestamp is not None and self.timestamp.prefix is not None and self.separator is None:
            raise ValueError("`timestamp.prefix` names an item of the header: say by which `separator` there are several")
        accepted = 2 * self.timestamp.tolerance if self.timestamp is not None else 0.0
        if self.replay is not None and 0 < self.replay < accepted:
            raise ValueError("`replay` is shorter than a signature counts: at least twice the tolerance, or leave it out")
        return self


class ApiKeys(Model):
    """Keys the gateway hands out itself."""

    header: Token = "X-Api-Key"
    prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,15}$")] = "lgk"
    store: Literal["file", "database"] = "file"
    file: FilePath | None = None
    pepper: SecretRef
    stale_for: Annotated[Duration, Field(ge=1, le=86400)] = 300.0

    @model_validator(mode="after")
    def _has_one_home(self) -> Self:
        """A key that is revoked in one home must not count by another."""
        if (self.store == "file") != (self.file is not None):
            raise ValueError("keys lie in one place: `file: api-keys.yaml`, or `store: database` without `file`")
        return self

    @field_validator("prefix")
    @classmethod
    def _is_no_placeholder(cls, prefix: str) -> str:
        if prefix == MARK.rstrip(b"_").decode():
            raise ValueError(
                f"'{prefix}' begins the placeholders of captured credentials, which authenticate nobody: choose another"
            )
        return prefix


class Authentication(Model):
    """All schemes."""

    jwt: dict[Name, JwtIssuer] = {}
    introspection: dict[Name, Introspection] = {}
    hmac: dict[Name, HmacCaller] = {}
    signatures: dict[Name, Signatures] = {}
    api_keys: ApiKeys | None = None
    mtls: Mtls | None = None
    login: dict[Name, LoginProvider] = {}
    sessions: Sessions | None = None
    dpop: Dpop | None = None

    @property
    def issuers(self) -> list[str]:
        """Who vouches for principals, as the audit trail and grants name it."""
        named = [name for kind in NAMED for name in getattr(self, kind)]
        return [*named, *(name for name in ("api_keys", "mtls") if getattr(self, name) is not None)]

    @property
    def cookies(self) -> list[str]:
        """Cookies in which tokens are accepted."""
        sources = [source for issuer in self.jwt.values() for source in issuer.from_]
        return [source.cookie for source in sources if isinstance(source, CookieSource)]

    def named(self) -> dict[str, Stated]:
        """The entries whose names are issuers of principals, and whose claims a token or an answer states."""
        return {name: entry for kind in STATING for name, entry in getattr(self, kind).items()}

    @model_validator(mode="after")
    def _distinct_issuers(self) -> Self:
        names = [name for kind in NAMED for name in getattr(self, kind)]
        if taken := sorted(name for name in names if name in RESERVED or names.count(name) > 1):
            raise ValueError(f"`{taken[0]}` is the issuer of another scheme's principals: name the token issuer otherwise")
        if self.signatures and any(sender.header.lower() in FIELDS for sender in self.hmac.values()):
            raise ValueError("`hmac` looks into the field Signature, which is that of `signatures`: one of the two has to go")
        if self.login and self.sessions is None:
            raise ValueError("`login` needs `sessions: {base_url: https://…, key: {env: …}}`")
        return self


def issuer_of(accepted: str) -> str:
    """Who vouches for the principals of a scheme as a route's `authenticate` names it: `corp` of `jwt.corp`, else itself."""
    return accepted.partition(".")[2] or accepted
