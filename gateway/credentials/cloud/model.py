"""The configuration of clouds: where a service is, who the gateway is there, and how it proves that."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from gateway.config.values import Duration, FilePath, Model, SecretRef
from gateway.credentials.oauth_model import Dial, Endpoint, Url, Word

REGION: Final = r"^[a-z0-9-]{1,64}$"
PATH: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]*(?:/[A-Za-z0-9][A-Za-z0-9_-]*){0,15}$"
"""A mount or a namespace: plain segments, none of them dots."""
CLOUD_PLATFORM: Final = "https://www.googleapis.com/auth/cloud-platform"


class AssumeRole(Model):
    """A role of AWS that is taken on: its temporary keys sign, and are asked for again before they end.

    Asked for with the keys beside it (AssumeRole), or with `token`, another issuer's JWT in a file that somebody renews
    (AssumeRoleWithWebIdentity), and then without any key.
    """

    arn: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}$")]
    session_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9+=,.@_-]{2,64}$")] = "latchgate"
    external_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9+=,.@:/_-]{2,1224}$")] | None = None
    duration: Annotated[Duration, Field(ge=900, le=43200)] = 3600.0
    token: SecretRef | None = None
    sts_url: Url | None = None
    dial: Dial = Dial()

    @model_validator(mode="after")
    def _as_one(self) -> Self:
        if self.token is not None and self.external_id is not None:
            raise ValueError("`external_id` is for keys: a web identity is told apart by its token")
        encrypted(self.sts_url, self.dial)
        return self


class AwsKeys(Model):
    """Whose keys sign for AWS.

    Either `access_key_id` with `secret_access_key`, and `session_token` where they are temporary; or `keys`, a JSON document as
    `credential_process` and `aws sts assume-role` print it. With `assume_role` these are only used to take on that role.
    """

    access_key_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,128}$")] | None = None
    secret_access_key: SecretRef | None = None
    session_token: SecretRef | None = None
    keys: SecretRef | None = None
    assume_role: AssumeRole | None = None


class Aws(AwsKeys):
    """A service of AWS in one region."""

    region: Annotated[str, Field(pattern=REGION)]
    url: Url | None = None
    dial: Dial = Dial()

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        encrypted(self.url, self.dial)
        return self


class Federation(Endpoint):
    """Who the gateway is to Google by another issuer's token (workload identity federation), without any key of Google's."""

    provider: Annotated[str, Field(pattern=r"^//iam\.googleapis\.com/[A-Za-z0-9/_-]+$")]
    token: SecretRef
    token_type: Literal["jwt", "id_token"] = "jwt"
    service_account: Annotated[str, Field(pattern=r"^[a-z0-9-]+@[a-z0-9.-]+$")] | None = None
    sts_url: Url = "https://sts.googleapis.com/v1/token"
    iam_url: Url = "https://iamcredentials.googleapis.com/v1"


class Google(Model):
    """Who the gateway is to Google: a service account by its key file, or a federated identity."""

    key: SecretRef | None = None
    federation: Federation | None = None
    token_url: Url = "https://oauth2.googleapis.com/token"
    url: Url | None = None
    dial: Dial = Dial()

    @model_validator(mode="after")
    def _one_identity(self) -> Self:
        if (self.key is None) == (self.federation is None):
            raise ValueError("exactly one of `key` (a service account's key file) and `federation` says who the gateway is")
        encrypted(self.url, self.dial)
        encrypted(self.token_url, self.dial)
        return self


class AppRole(Model):
    """A login by AppRole: both halves are references, read again for each login."""

    role_id: SecretRef
    secret_id: SecretRef
    mount: Annotated[str, Field(pattern=PATH)] = "approle"


class Kubernetes(Model):
    """A login by the token of a pod's service account."""

    role: Word
    token: SecretRef
    mount: Annotated[str, Field(pattern=PATH)] = "kubernetes"


class VaultServer(Model):
    """A server of HashiCorp Vault or OpenBao, and who the gateway is there: by `token`, `approle` or `kubernetes`."""

    url: Annotated[str, Field(pattern=r"^https?://[^/?#\s]+/?$")]
    token: SecretRef | None = None
    approle: AppRole | None = None
    kubernetes: Kubernetes | None = None
    namespace: Annotated[str, Field(pattern=PATH)] | None = None
    ca: FilePath | None = None
    allow_private: bool = False
    allow_plaintext: bool = False

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        if sum(login is not None for login in (self.token, self.approle, self.kubernetes)) != 1:
            raise ValueError("exactly one of `token`, `approle` and `kubernetes` says who the gateway is")
        encrypted(self.url, Dial(allow_plaintext=self.allow_plaintext), "allow_plaintext: true")
        return self


def encrypted(url: str | None, dial: Dial, key: str = "dial: {allow_plaintext: true}") -> None:
    """Raises ValueError for http that was not allowed."""
    if url is not None and not url.startswith("https:") and not dial.allow_plaintext:
        raise ValueError(f"the scheme must be https, or `{key}` says that nobody listens in between")
