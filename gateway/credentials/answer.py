"""What token endpoints answer (RFC 6749 5), believed only as far as it can be used.

Of an answer nothing is repeated but its status and one of the error codes that there are: servers are known to send
back what they were sent, and what they were sent are secrets.
"""

import math
import re
from collections.abc import Collection
from typing import Any, Final

from gateway.core.errors import DependencyDown, Ungranted
from gateway.core.ports import Fetched
from gateway.core.strict_json import InvalidJson, parse
from gateway.credentials.token import Fresh

MAX_BYTES: Final = 64 * 1024
MAX_TOKEN: Final = 16 * 1024
UNSTATED: Final = 300.0
"""Seconds a token is used whose answer says nothing of its life."""
TOKEN: Final = re.compile(r"[!-~]+", re.ASCII)
CODES: Final = frozenset(
    {
        "access_denied",
        "consent_required",
        "insufficient_scope",
        "interaction_required",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "invalid_token",
        "login_required",
        "server_error",
        "slow_down",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
"""Error codes of RFC 6749 5.2, RFC 8693, RFC 8707 and OpenID Connect. A closed list: a secret that came back would be told else."""
SECONDS: Final = re.compile(r"[0-9]{1,10}", re.ASCII)


def granted(answer: Fetched, host: str, refusals: Collection[str] = ()) -> Fresh:
    """The access token of an answer. Raises DependencyDown for anything else, Ungranted for the error codes in `refusals`."""
    members = successful(answer, host, refusals)
    kind = members.get("token_type")
    if kind is not None and (not isinstance(kind, str) or kind.lower() != "bearer"):
        # RFC 6749 7.1: a client must not use a token whose type it does not understand.
        raise DependencyDown(f"{host}: the token is not a bearer token")
    return Fresh(token_of(members, "access_token", host), lifetime_of(members.get("expires_in"), host))


def successful(answer: Fetched, host: str, refusals: Collection[str] = ()) -> dict[str, Any]:
    """The members of an answer that says yes. Raises as `granted` does."""
    if answer.status not in {200, 201}:
        code = code_of(answer.body)
        told = f"{host}: answered {answer.status}" + (f" {code}" if code else "")
        raise Ungranted(told) if code in refusals else DependencyDown(told)
    members = object_of(answer.body)
    if members is None:
        raise DependencyDown(f"{host}: the answer is not a JSON object")
    return members


def token_of(members: dict[str, Any], name: str, host: str) -> bytes:
    """A token that a header field can carry (RFC 6750 2.1). Raises DependencyDown."""
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise DependencyDown(f"{host}: the answer holds no {name}")
    if len(value) > MAX_TOKEN or not TOKEN.fullmatch(value):
        raise DependencyDown(
            f"{host}: the {name} is longer than {MAX_TOKEN} bytes or holds characters that a header field cannot carry"
        )
    return value.encode("ascii")


def lifetime_of(stated: object, host: str) -> float:
    """Seconds, also where a server writes them as text. Raises DependencyDown for what is no time to come."""
    if stated is None:
        return UNSTATED
    if isinstance(stated, str) and SECONDS.fullmatch(stated):
        stated = int(stated)
    if isinstance(stated, bool) or not isinstance(stated, int | float) or not 0 < stated < math.inf:
        raise DependencyDown(f"{host}: expires_in is not a number of seconds to come")
    return float(min(stated, 1e9))


def code_of(body: bytes) -> str:
    """The error code of RFC 6749 5.2, "" where there is none that may be told."""
    members = object_of(body)
    code = members.get("error") if members is not None else None
    return code if isinstance(code, str) and code in CODES else ""


def object_of(body: bytes) -> dict[str, Any] | None:
    """A JSON object, None for anything else."""
    try:
        members = parse(body)
    except InvalidJson:
        return None
    return members if isinstance(members, dict) else None
