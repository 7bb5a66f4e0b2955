"""The value types of configuration: durations, sizes, rates, addresses, names, secret references.

Written as people write them (CONTRACT 2: `10s`, `64KiB`, `100/minute`), held as numbers.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo

UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES: Final = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
PERIODS: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}

DURATION: Final = re.compile(r"(0|[1-9][0-9]{0,8})(ms|s|m|h|d)", re.ASCII)
SIZE: Final = re.compile(r"(0|[1-9][0-9]{0,11})(B|KiB|MiB|GiB)?", re.ASCII)
RATE: Final = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour|day|[1-9][0-9]{0,8}(?:s|m|h|d))", re.ASCII)
NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
FIELD_NAME: Final = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
VARIABLE: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
LOCATED: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,15}$"
"""Segments that name one secret: none is empty, a dot or two, a wildcard, or needs to be encoded."""
MEMBER: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"


class Model(BaseModel):
    """A frozen piece of configuration that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


def parse_duration(value: Any) -> float:
    """`500ms 10s 5m 24h 90d` -> seconds. Raises ValueError."""
    if isinstance(value, str) and (found := DURATION.fullmatch(value)):
        return int(found[1]) * UNITS[found[2]]
    raise ValueError("a duration is written like 500ms, 10s, 5m, 24h or 90d")


def parse_size(value: Any) -> int:
    """`64KiB 1MiB` or a plain number of bytes -> bytes. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (found := SIZE.fullmatch(value)):
        return int(found[1]) * BYTES[found[2] or "B"]
    raise ValueError("a size is written like 64KiB, 1MiB or 4096")


def write_duration(seconds: float) -> str:
    """The shortest way to write a duration: 90.0 -> `90s`, 86400.0 -> `1d`."""
    millis = round(seconds * 1000)
    unit = next(unit for unit in ("d", "h", "m", "s", "ms") if millis % round(UNITS[unit] * 1000) == 0 and (millis or unit == "s"))
    return f"{millis // round(UNITS[unit] * 1000)}{unit}"


def write_size(size: int) -> str:
    """65536 -> `64KiB`."""
    unit = next(unit for unit in ("GiB", "MiB", "KiB", "B") if size % BYTES[unit] == 0 and (size or unit == "B"))
    return f"{size // BYTES[unit]}{unit}"


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` requests in `seconds`."""

    count: int
    seconds: float


def parse_rate(value: Any) -> Rate:
    """`100/minute`, `20/10s` -> Rate; what is one stays one. Raises ValueError."""
    if isinstance(value, Rate):
        return value
    if isinstance(value, str) and (found := RATE.fullmatch(value)):
        seconds = PERIODS.get(found[2])
        return Rate(int(found[1]), seconds if seconds is not None else parse_duration(found[2]))
    raise ValueError("a rate is written like 100/minute, 5000/day or 20/10s")


def parse_network(value: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """A CIDR or a single address. Raises ValueError, also when host bits are set."""
    if not isinstance(value, str):
        raise ValueError("a network is written like 10.0.0.0/8 or 2001:db8::/32")
    return ipaddress.ip_network(value)


def is_duration(field: FieldInfo) -> bool:
    """Whether a model's field is written as a duration."""
    return any(getattr(mark, "func", None) is parse_duration for mark in field.metadata)


def is_size(field: FieldInfo) -> bool:
    """Whether a model's field is written as a size."""
    return any(getattr(mark, "func", None) is parse_size for mark in field.metadata)


def _text(schema: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **schema})


Duration = Annotated[
    float, BeforeValidator(parse_duration), _text({"pattern": f"^{DURATION.pattern}$", "examples": ["500ms", "10s", "5m", "24h"]})
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": f"^{SIZE.pattern}$"}, {"type": "integer", "minimum": 0}], "examples": ["64KiB"]}
    ),
]
RateText = Annotated[
    Rate, BeforeValidator(parse_rate), _text({"pattern": f"^{RATE.pattern}$", "examples": ["100/minute", "20/10s"]})
]
Network = Annotated[
    ipaddress.IPv4Network | ipaddress.IPv6Network,
    BeforeValidator(parse_network),
    PlainSerializer(str),
    _text({"examples": ["10.0.0.0/8"]}),
]
Name = Annotated[str, Field(pattern=NAME)]
FilePath = Annotated[
    Path,
    BeforeValidator(lambda value: Path(value) if isinstance(value, str) and value else value),
    PlainSerializer(str),
    _text({"format": "path"}),
]
"""A path; relative ones were made absolute against the file that names them, before validation."""


class EnvSecret(Model):
    """A secret in an environment variable."""

    env: Annotated[str, Field(pattern=VARIABLE)]


class FileSecret(Model):
    """A secret in a file: one trailing newline is dropped, a replaced file is picked up."""

    file: FilePath


class SealedSecret(Model):
    """A secret that the configuration holds sealed: the name of an entry of `sealed:`."""

    sealed: Name


class VaultSecret(Model):
    """A secret in a key-value engine of HashiCorp Vault or OpenBao: a field of what lies at a path."""

    vault: Annotated[str, Field(pattern=LOCATED, max_length=512)]
    field: Annotated[str, Field(pattern=MEMBER)] = "value"
    source: Name | None = None


class AwsSecret(Model):
    """A secret in AWS Secrets Manager by name or ARN: its text, or a field of the JSON object that it is."""

    aws_secret: Annotated[str, Field(pattern=r"^[A-Za-z0-9/_+=.@:-]{1,512}$")]
    field: Annotated[str, Field(pattern=MEMBER)] | None = None
    source: Name | None = None


class GcpSecret(Model):
    """A secret in Google Secret Manager: the latest version, or the one of a number, or a field of the JSON object that it is."""

    gcp_secret: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,255}$")]
    version: Annotated[str, Field(pattern=r"^(latest|[1-9][0-9]{0,8})$")] = "latest"
    field: Annotated[str, Field(pattern=MEMBER)] | None = None
    source: Name | None = None


RemoteReference = VaultSecret | AwsSecret | GcpSecret
Reference = EnvSecret | FileSecret | SealedSecret | VaultSecret | AwsSecret | GcpSecret
REFERENCES: Final[Mapping[str, type[Reference]]] = MappingProxyType(
    {
        "env": EnvSecret,
        "file": FileSecret,
        "sealed": SealedSecret,
        "vault": VaultSecret,
        "aws_secret": AwsSecret,
        "gcp_secret": GcpSecret,
    }
)
"""The key that tells a kind of reference -> its model."""


def secret_kind(value: Mapping[str, Any]) -> type[Reference] | None:
    """Which kind of reference a mapping is; None refuses what is not exactly one."""
    found = [kind for key, kind in REFERENCES.items() if key in value]
    return found[0] if len(found) == 1 else None


def _tag(value: Any) -> str | None:
    kind = type(value) if isinstance(value, Reference) else secret_kind(value) if isinstance(value, dict) else None
    return kind.__name__ if kind is not None else None


SecretRef = Annotated[
    Annotated[EnvSecret, Tag("EnvSecret")]
    | Annotated[FileSecret, Tag("FileSecret")]
    | Annotated[SealedSecret, Tag("SealedSecret")]
    | Annotated[VaultSecret, Tag("VaultSecret")]
    | Annotated[AwsSecret, Tag("AwsSecret")]
    | Annotated[GcpSecret, Tag("GcpSecret")],
    Discriminator(
        _tag,
        custom_error_type="secret_reference",
        custom_error_message="a secret is a reference: {env: NAME}, {file: PATH} or {sealed: NAME}",
    ),
]
"""A secret is never a bare string but a typed reference (CONTRACT 2)."""

Names = Name | Annotated[list[Name], Field(min_length=1, max_length=8)]
"""One name, or several in an order."""

Token = Annotated[str, Field(pattern=FIELD_NAME)]
"""A token of RFC 9110 5.6.2: header and cookie names."""

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
