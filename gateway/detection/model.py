"""The configuration of detection (docs/how-to/guessing.md)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.config.values import Duration, Model, Network

LONGEST_WINDOW = 24 * 3600.0
LONGEST_BLOCK = 24 * 3600.0


class BruteForce(Model):
    """Credentials that fail: `threshold` of one address within `window`, or `per_identity` for one identity from anywhere.

    block_address refuses all requests of the address `for` that long; delay refuses them for 1 s, 2 s, 4 s … up to `for`; alarm
    tells.
    """

    type: Literal["brute_force"]
    threshold: Annotated[int, Field(ge=1, le=100)] = 5
    per_identity: Annotated[int, Field(ge=1, le=200)] = 50
    window: Duration = 300.0
    action: Literal["block_address", "delay", "alarm"] = "block_address"
    for_: Annotated[Duration, Field(alias="for")] = 900.0

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if not 1.0 <= self.window <= LONGEST_WINDOW:
            raise ValueError("`window` is 1s to 24h")
        if not 1.0 <= self.for_ <= LONGEST_BLOCK:
            raise ValueError("`for` is 1s to 24h")
        return self


def as_agreed() -> list[BruteForce]:
    """The rule that holds where nothing is said."""
    return [BruteForce(type="brute_force")]


class Detection(Model):
    """What is looked for, and who is never refused for it."""

    rules: Annotated[list[BruteForce], Field(max_length=8)] = Field(default_factory=as_agreed)
    never_block: list[Network] = []
