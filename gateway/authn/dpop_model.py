"""The configuration of proofs of possession (RFC 9449)."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.values import Duration, Model, SecretRef

ProofAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class DpopNonce(Model):
    """Nonces that proofs must hold. Without `key` each process gives out its own."""

    key: SecretRef | None = None
    lifetime: Annotated[Duration, Field(ge=10, le=3600)] = 300.0


class Dpop(Model):
    """Proofs of possession (RFC 9449) for tokens that are bound to a key."""

    algorithms: Annotated[list[ProofAlgorithm], Field(min_length=1)] = ["ES256", "EdDSA"]
    max_age: Annotated[Duration, Field(ge=1, le=600)] = 60.0
    leeway: Annotated[Duration, Field(ge=0, le=60)] = 5.0
    nonce: DpopNonce | None = None
