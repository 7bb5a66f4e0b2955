"""The configuration of signed requests (CONTRACT 2, `authentication.signatures`)."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from gateway.authn.jwks_model import Jwks
from gateway.config.values import Duration, Model, SecretRef, Size

Algorithm = Literal["ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-pss-sha512", "rsa-v1_5-sha256", "hmac-sha256"]
"""RFC 9421 3.3."""
Published = Literal["ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-pss-sha512", "rsa-v1_5-sha256"]
KeyId = Annotated[str, Field(pattern=r"^[ -~]{1,256}$")]
Subject = Annotated[str, Field(pattern=r"^[!-~]{1,256}$")]
Component = Annotated[str, Field(pattern=r"^(@[a-z-]{1,32}|[a-z0-9!#$%&'*+.^_`|~-]{1,64})$")]
FIELDS: Final = frozenset({"signature", "signature-input"})
"""The header fields of a signature (RFC 9421 4)."""
DERIVED: Final = frozenset({"@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"})
"""What can be demanded of all requests."""


class SignatureKey(Model):
    """Whose key it is, and the one algorithm that it is for."""

    algorithm: Algorithm
    subject: Subject
    jwk: dict[str, Any] | None = None
    pem: Annotated[str, Field(max_length=8192)] | None = None
    secret: SecretRef | None = None
    encoding: Literal["text", "base64"] = "text"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """A public key that were taken for a shared secret would let everybody sign."""
        if sum(each is not None for each in (self.jwk, self.pem, self.secret)) != 1:
            raise ValueError("exactly one of `jwk`, `pem` and `secret` is the key")
        if (self.algorithm == "hmac-sha256") != (self.secret is not None):
            raise ValueError("`hmac-sha256` needs `secret`, every other algorithm a public key: `jwk` or `pem`")
        return self


class Signatures(Model):
    """Callers that sign their requests, and what their signatures must cover."""

    keys: Annotated[dict[KeyId, SignatureKey], Field(max_length=1000)] = {}
    jwks: Jwks | None = None
    subject: Subject | None = None
    algorithms: Annotated[list[Published], Field(min_length=1)] = [
        "ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-pss-sha512"
    ]  # fmt: skip
    components: Annotated[list[Component], Field(max_length=32)] = []
    tag: Annotated[str, Field(pattern=r"^[ -~]{1,128}$")] | None = None
    max_age: Annotated[Duration, Field(ge=1, le=3600)] = 300.0
    leeway: Annotated[Duration, Field(le=300)] = 30.0
    replay: Literal["refuse", "allow"] = "refuse"
    max_body: Annotated[Size, Field(ge=1, le=64 * 1024 * 1024)] = 1024 * 1024

    @model_validator(mode="after")
    def _has_keys(self) -> Self:
        if bool(self.keys) == (self.jwks is not None):
            raise ValueError("exactly one of `keys` and `jwks` says whose signatures count")
        if self.jwks is None and self.model_fields_set & {"subject", "algorithms"}:
            raise ValueError("`subject` and `algorithms` belong to `jwks`: each of `keys` has its own")
        if self.jwks is not None and self.jwks.discovery:
            raise ValueError("`jwks` of signatures has no issuer to discover it from: use `url` or `file`")
        for name in self.components:
            if name in FIELDS or (name.startswith("@") and name not in DERIVED):
                raise ValueError(f"`components` has {name}, which cannot be demanded of every request")
        return self
