"""The configuration of the audit trail (CONTRACT 2, `audit:`)."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.values import FilePath, Model, Size

Masking = Literal["none", "partial", "keyed_hash"]


class Rotate(Model):
    """When a new file begins, and how many old ones stay."""

    size: Size = 100 * 1024 * 1024
    keep: Annotated[int, Field(ge=1, le=1000)] = 10


class Mask(Model):
    """How personal data appears."""

    subject: Masking = "none"
    client: Masking = "none"


class Audit(Model):
    """Where events go. `file` "-" is standard output."""

    file: Literal["-"] | FilePath = "-"
    on_full: Literal["refuse", "drop"] = "refuse"
    rotate: Rotate = Rotate()
    mask: Mask = Mask()
