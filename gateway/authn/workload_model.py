"""The configuration of workloads: SPIFFE IDs in certificates and tokens, and the cluster a pod runs in."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from gateway.authn.ocsp_model import Ocsp
from gateway.config.values import Model

CLUSTER: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where Kubernetes gives a pod the cluster's authority and a token of its own."""
IN_CLUSTER: Final[dict[str, Any]] = {
    "url": "https://kubernetes.default.svc/openid/v1/jwks",
    "ca": f"{CLUSTER}/ca.crt",
    "bearer": {"file": f"{CLUSTER}/token"},
    "allow_private": True,
}

TrustDomain = Annotated[str, Field(pattern=r"^[a-z0-9._-]{1,255}$")]


class Spiffe(Model):
    """JWT-SVIDs of one trust domain."""

    trust_domain: TrustDomain


class Mtls(Model):
    """Client certificates as identities."""

    identity: Annotated[list[Literal["spiffe", "san_uri", "san_dns", "san_email", "subject_cn"]], Field(min_length=1)] = [
        "spiffe",
        "san_uri",
        "san_dns",
    ]
    trust_domains: Annotated[list[TrustDomain], Field(min_length=1)] | None = None
    ocsp: Ocsp | None = None

    @model_validator(mode="after")
    def _can_be_of_a_domain(self) -> Self:
        if self.trust_domains is not None and "spiffe" not in self.identity:
            raise ValueError("`trust_domains` are those of SPIFFE IDs: `identity` names `spiffe`, too")
        return self
