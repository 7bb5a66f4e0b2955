"""Host names as `hosts:` and `match.host` take them: `api.example.com`, `*.example.com`, an address."""

import ipaddress
import re
from typing import Final

from gateway.edge.cors import LABEL

HOST: Final = re.compile(rf"(?:\*\.)?{LABEL}(?:\.{LABEL})*", re.ASCII)
PORT: Final = re.compile(r"(?:[^:]+|\[.*\]):[0-9]+")


def judged_host(host: str) -> tuple[str, str] | None:
    """Message and hint when it is not a host; None when it is."""
    if "://" in host or "/" in host:
        return "a host is a name, not a URL", "leave out scheme and path"
    if PORT.fullmatch(host):
        return "a host is a name without a port", "leave out the port"
    if is_address(host):
        return None
    if len(host) > 253 or not HOST.fullmatch(host):
        wild = "*" in host and not re.fullmatch(r"\*\.[^*]+", host)
        hint = "a wildcard is the whole first label: *.example.com" if wild else "lower case, non-ASCII names in punycode"
        return "not a host name", hint
    return None


def is_address(host: str) -> bool:
    """`192.0.2.1` or `[2001:db8::1]`."""
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        found = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        return False
    return bracketed == (found.version == 6)
