"""The configuration of upstream credentials (CONTRACT 2, `credentials:`)."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.values import Model, SecretRef, Token


class Bearer(Model):
    """`Authorization: Bearer <secret>` (RFC 6750 2.1)."""

    inject: Literal["bearer"]
    secret: SecretRef


class Basic(Model):
    """`Authorization: Basic base64(username:password)` (RFC 7617)."""

    inject: Literal["basic"]
    username: Annotated[str, Field(pattern=r"^[^:\x00-\x1f\x7f]+$")]
    password: SecretRef


class Header(Model):
    """`<name>: <secret>`."""

    inject: Literal["header"]
    name: Token
    secret: SecretRef


class Query(Model):
    """`?<name>=<secret>`; the last resort, redacted everywhere."""

    inject: Literal["query"]
    name: Annotated[str, Field(min_length=1)]
    secret: SecretRef


class Cookie(Model):
    """`Cookie: <name>=<secret>`, beside the client's other cookies."""

    inject: Literal["cookie"]
    name: Token
    secret: SecretRef


Credential = Annotated[Bearer | Basic | Header | Query | Cookie, Field(discriminator="inject")]
