"""The configuration of rotation (`credentials.*.rotate`)."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from gateway.config.values import Duration, Model, Name
from gateway.credentials.oauth_model import Dial, Url

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
WITHIN: Final = 30.0


class Hook(Model):
    """A program that mints and revokes, and how long it may take. No shell reads the command; `mint` or `revoke` is added to it."""

    command: Annotated[list[Annotated[str, Field(pattern=r"^[^\x00]{1,4096}$")]], Field(min_length=1, max_length=32)]
    timeout: Annotated[Duration, Field(ge=0.1, le=300)] = 30.0

    @model_validator(mode="after")
    def _named_whole(self) -> Self:
        if not self.command[0].startswith("/"):
            raise ValueError("the program is named by its whole path: nothing is searched for it")
        return self


class Verify(Model):
    """What the upstream is asked with a new secret, and what it answers where that counts. `upstream` is the one it is sent to,
    where there are several; `within` bounds when it is asked again: many providers take seconds to know what they minted."""

    path: Annotated[str, Field(pattern=r"^/[!-\"$-~]*$", max_length=1024)]
    status: Annotated[int, Field(ge=200, le=299)] = 200
    upstream: Name | None = None
    within: Annotated[Duration, Field(ge=0.1, le=300)] = WITHIN


class Iam(Model):
    """AWS IAM mints access keys, asked with those in force. `url` is the partition's own (default), `sts_url` the region's."""

    kind: Literal["aws_iam"]
    url: Url | None = None
    sts_url: Url | None = None
    dial: Dial = Dial()

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        encrypted(self.dial, url=self.url, sts_url=self.sts_url)
        return self


class GitLab(Model):
    """A GitLab token makes its own successor and ends with that: a personal one, or that of a `project` or `group` (its id).

    The new one ends after `lifetime`, 30 days longer than `every` where that is left out.
    """

    kind: Literal["gitlab"]
    api: Url = "https://gitlab.com/api/v4"
    project: Annotated[int, Field(ge=1)] | None = None
    group: Annotated[int, Field(ge=1)] | None = None
    lifetime: Annotated[Duration, Field(ge=2 * DAY, le=400 * DAY)] | None = None
    dial: Dial = Dial()

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.project is not None and self.group is not None:
            raise ValueError("a token is of a `project` or of a `group`")
        encrypted(self.dial, api=self.api)
        return self


Provider = Annotated[Iam | GitLab, Field(discriminator="kind")]


class Rotate(Model):
    """A new secret every so often, minted by the `hook` or by the `provider`. The one before is revoked `overlap` after the switch:
    until then requests with it may run. `verify` may be left out with a provider, which is asked itself then."""

    every: Annotated[Duration, Field(ge=HOUR)]
    overlap: Annotated[Duration, Field(ge=1, le=30 * DAY)] = HOUR
    hook: Hook | None = None
    provider: Provider | None = None
    verify_: Annotated[Verify | None, Field(alias="verify")] = None

    @property
    def within(self) -> float:
        """Seconds in which a new secret has to count."""
        return self.verify_.within if self.verify_ is not None else WITHIN

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.hook is None) == (self.provider is None):
            raise ValueError("exactly one of `hook` and `provider` mints")
        if self.hook is not None and self.verify_ is None:
            raise ValueError("with a `hook`, `verify` says how the upstream is asked whether a new secret counts")
        if isinstance(self.provider, GitLab):
            self._ends_at_once(self.provider)
        elif self.overlap >= self.every:
            raise ValueError("`overlap` must be shorter than `every`")
        return self

    def _ends_at_once(self, provider: GitLab) -> None:
        if "overlap" in self.model_fields_set:
            raise ValueError("there is no `overlap` with GitLab: the old token ends when the new one is made")
        if provider.lifetime is not None and provider.lifetime < self.every + DAY:
            raise ValueError("`lifetime` must be a day longer than `every` at least: the token would end before it rotates")
        if provider.lifetime is None and self.every > 370 * DAY:
            raise ValueError("GitLab's tokens live 400 days at most: `every` must be shorter")


def encrypted(dial: Dial, **urls: str | None) -> None:
    """Raises ValueError for http that was not allowed."""
    for name, url in urls.items():
        if url is not None and not url.startswith("https:") and not dial.allow_plaintext:
            raise ValueError(f"`{name}` must be https, or `dial: {{allow_plaintext: true}}` allows http")
