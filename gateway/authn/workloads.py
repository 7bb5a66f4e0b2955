"""Who a workload is, by what its platform states: SPIFFE IDs, and service accounts of Kubernetes.

SPIFFE-ID 2, JWT-SVID 3 and 5; Kubernetes, "Managing Service Accounts", bound tokens. Pure functions over claims that were verified.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

SPIFFE: Final = re.compile(r"spiffe://([a-z0-9._-]{1,255})((?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]+)*)", re.ASCII)
"""A lower-case trust domain; path segments of letters, digits, `.`, `-`, `_`, none of them `.` or `..`."""
MAX_ID: Final = 2048
JWT_SVID: Final = "jwt-svid"
"""The `use` of keys that sign JWT-SVIDs (SPIFFE Trust Domain and Bundle 4.2.2)."""
ACCOUNT: Final = re.compile(r"system:serviceaccount:([a-z0-9-]{1,63}):([a-z0-9.-]{1,253})", re.ASCII)

Check = Callable[[Mapping[str, Any], str | None], str]
"""Claims and `kid` -> what is wrong with them, "" where nothing is."""


def trust_domain(id: object) -> str | None:
    """The trust domain of a workload's SPIFFE ID; None for what is none, and for one without a path, which is the domain's own."""
    found = SPIFFE.fullmatch(id) if isinstance(id, str) and len(id) <= MAX_ID else None
    return found[1] if found is not None and found[2] else None


def svid(domain: str) -> Check:
    """JWT-SVID 3: the subject is a workload of the trust domain, and the header names the key."""

    def check(claims: Mapping[str, Any], kid: str | None) -> str:
        if not kid:
            return "no kid"
        return "" if trust_domain(claims.get("sub")) == domain else "the subject is no workload of the trust domain"

    return check


def service_account(claims: Mapping[str, Any], _: str | None) -> str:
    """The subject is a service account, the one that the claims tell of. Tokens of the old kind, which never end, have none."""
    sub, told = claims.get("sub"), claims.get("kubernetes.io")
    found = ACCOUNT.fullmatch(sub) if isinstance(sub, str) else None
    account = told.get("serviceaccount") if isinstance(told, dict) else None
    if found is None or not isinstance(told, dict) or not isinstance(account, dict):
        return "no service account"
    same = (told.get("namespace"), account.get("name")) == (found[1], found[2])
    return "" if same else "the subject is another service account than the claims tell of"
