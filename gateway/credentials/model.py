"""The configuration of upstream credentials (CONTRACT 2, `credentials:`)."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.values import Duration, FilePath, Model, SecretRef, Size, Token
from gateway.credentials.captured.model import Captured, CapturedKeys
from gateway.credentials.cloud.model import REGION, AwsKeys
from gateway.credentials.grants.model import Grant
from gateway.credentials.oauth_model import Minted
from gateway.credentials.rotation.model import Rotate


class Bearer(Model):
    """`Authorization: Bearer <secret>` (RFC 6750 2.1)."""

    inject: Literal["bearer"]
    secret: SecretRef
    rotate: Rotate | None = None


class Basic(Model):
    """`Authorization: Basic base64(username:password)` (RFC 7617)."""

    inject: Literal["basic"]
    username: Annotated[str, Field(pattern=r"^[^:\x00-\x1f\x7f]+$")]
    password: SecretRef
    rotate: Rotate | None = None


class Header(Model):
    """`<name>: <secret>`."""

    inject: Literal["header"]
    name: Token
    secret: SecretRef
    rotate: Rotate | None = None


class Query(Model):
    """`?<name>=<secret>`; the last resort, redacted everywhere."""

    inject: Literal["query"]
    name: Annotated[str, Field(min_length=1)]
    secret: SecretRef
    rotate: Rotate | None = None


class Cookie(Model):
    """`Cookie: <name>=<secret>`, beside the client's other cookies."""

    inject: Literal["cookie"]
    name: Token
    secret: SecretRef
    rotate: Rotate | None = None


class SigV4(AwsKeys):
    """AWS Signature Version 4 over each request.

    Either `access_key_id` with `secret_access_key`, and `session_token` where they are temporary; or `keys`, a JSON document as
    `credential_process` and `aws sts assume-role` print it; with `assume_role` these only take on that role. Bodies up to `buffer`
    are read whole and signed by their hash; longer ones go to Amazon S3 in signed chunks, or with `unsigned_payload` as they are.
    """

    inject: Literal["sigv4"]
    region: Annotated[str, Field(pattern=REGION)]
    service: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
    buffer: Annotated[Size, Field(ge=0, le=16 * 1024 * 1024)] = 1024 * 1024
    unsigned_payload: bool = False
    rotate: Rotate | None = None


class Hmac(Model):
    """A signature with a shared key (RFC 2104) over `content`, put into `headers`.

    Both are text with words in braces. In `content`: `{method}`, `{host}`, `{path}`, `{query}`, `{target}` (path and query),
    `{timestamp}`, `{nonce}`, `{body}`, `{body_sha256}`, `{body_sha512}`. In `headers`: `{signature}`, `{timestamp}`, `{nonce}`,
    `{body_sha256}`, `{body_sha512}`. A brace is written twice.
    """

    inject: Literal["hmac"]
    secret: SecretRef
    key_encoding: Literal["text", "hex", "base64"] = "text"
    content: Annotated[str, Field(min_length=1, max_length=1024)]
    headers: Annotated[dict[Token, str], Field(min_length=1, max_length=16)]
    algorithm: Literal["sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64", "base64url"] = "hex"
    timestamp: Literal["seconds", "milliseconds", "rfc3339"] = "seconds"
    buffer: Annotated[Size, Field(ge=0, le=16 * 1024 * 1024)] = 1024 * 1024
    rotate: Rotate | None = None


class SignedJwt(Model):
    """A short-lived JWT of the gateway's own that tells an `internal` upstream who is asking.

    `sub` is `issuer:id`. The first of `keys` signs, all are published at `jwks.json` below the portal's prefix. `claims` are facts
    about the principal, `token_claims` are copied from its token, `actor` becomes `act.sub` (RFC 8693 4.1).
    """

    inject: Literal["signed_jwt"]
    issuer: Annotated[str, Field(min_length=1, max_length=255)]
    audience: Annotated[str, Field(min_length=1, max_length=255)]
    keys: Annotated[list[SecretRef], Field(min_length=1, max_length=4)]
    algorithm: Literal["ES256", "EdDSA", "RS256"] = "ES256"
    lifetime: Annotated[Duration, Field(ge=10, le=900)] = 60.0
    header: Token = "Authorization"
    claims: list[Literal["roles", "groups", "scopes", "permissions"]] = []
    token_claims: Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=32)] = []
    actor: Annotated[str, Field(min_length=1, max_length=255)] | None = None


class Mtls(Model):
    """A certificate that the gateway shows the upstream (RFC 8446 4.4.2), with its private key in PEM.

    Nothing is put into a request. A route that shows one has connections of its own, which no other route's requests take. It
    stands alone: not in a list, and in place of the upstream's own `tls.client_certificate`.
    """

    inject: Literal["mtls"]
    certificate: FilePath
    key: SecretRef


Credential = Annotated[
    Bearer | Basic | Header | Query | Cookie | SigV4 | Hmac | SignedJwt | Mtls | Grant | Captured | CapturedKeys | Minted,
    Field(discriminator="inject"),
]
