"""The configuration of capturing: `capture:` of a route, and `inject: captured` of a credential."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.config.values import Duration, Model, Name, Size, Token
from gateway.credentials.cloud.model import REGION

Pointer = Annotated[str, Field(pattern=r"^(/([^/~]|~[01])+)+$", max_length=256)]
"""Where in an answer: a JSON Pointer (RFC 6901). In XML its steps are names of elements, in a form the one step is a name."""


def _in_a_time_zone(written: str) -> str:
    """Raises ValueError for what is no time, or a time nowhere."""
    if datetime.fromisoformat(written).tzinfo is None:
        raise ValueError("a time needs its time zone: 2026-11-22T18:00:00Z")
    return written


Moment = Annotated[str, AfterValidator(_in_a_time_zone)]
"""A time as RFC 3339 has it."""


class Capture(Model):
    """Answers of this route hold credentials at `fields`, and some at `optional`: the client gets placeholders in their place.

    `spend_with` names the credential (`inject: captured`) that opens them. `expires` is where the answer says when they end:
    seconds from now, a Unix time, or an RFC 3339 time; a placeholder is good until then, and for `max_age` at the most. A
    successful answer of more than `max_size`, in another form, or without one of `fields` is withheld.

    In place of `fields`, `aws_keys` are the places where AWS STS answers with temporary keys: what holds `AccessKeyId`,
    `SecretAccessKey`, `SessionToken` and `Expiration`. One of them must be there. `inject: captured_keys` spends them.
    """

    spend_with: Name
    fields: Annotated[list[Pointer], Field(max_length=16)] = []
    aws_keys: Annotated[list[Pointer], Field(max_length=16)] = []
    optional: Annotated[list[Pointer], Field(max_length=16)] = []
    format: Literal["json", "xml", "form"] = "json"
    expires: Pointer | None = None
    max_age: Annotated[Duration, Field(ge=60, le=7 * 86400)] = 3600.0
    max_size: Annotated[Size, Field(ge=256, le=1024 * 1024)] = 64 * 1024

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.fields) == bool(self.aws_keys):
            raise ValueError("say `fields`, or for temporary keys of AWS `aws_keys`")
        if self.aws_keys and (self.optional or self.expires is not None or self.format == "form"):
            raise ValueError("`aws_keys` stand alone, in JSON or XML: they say themselves when they end")
        return self


class Captured(Model):
    """The credential behind the placeholder that the client sends in `sent_in`, put into `header` in the same form.

    The placeholder stands there alone, behind a scheme such as `Bearer`, or as the password of `Basic`. `sent_in` is `header`
    unless it is said. What was captured before `issued_after` is refused: so all of it is revoked.
    """

    inject: Literal["captured"]
    header: Token = "Authorization"
    sent_in: Token | None = None
    issued_after: Moment | None = None


class CapturedKeys(Model):
    """The temporary AWS keys (`capture: {aws_keys: …}`) behind the placeholders that the client signed its request with.

    The client's signature is verified and taken away, and the request signed anew, for the region and service that the client
    signed for: they must be among `regions` and `services`. Bodies are signed as with `inject: sigv4`. Keys that were captured
    before `issued_after` are refused: so all of them are revoked.
    """

    inject: Literal["captured_keys"]
    regions: Annotated[list[Annotated[str, Field(pattern=REGION)]], Field(min_length=1, max_length=32)]
    services: Annotated[list[Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]], Field(min_length=1, max_length=32)]
    buffer: Annotated[Size, Field(ge=0, le=16 * 1024 * 1024)] = 1024 * 1024
    issued_after: Moment | None = None
