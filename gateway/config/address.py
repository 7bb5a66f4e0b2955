"""Where a listener binds: `127.0.0.1:8080`, `[::1]:8080` or `unix:/run/gateway.sock`."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

TCP: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]+)|(?P<name>localhost)):(?P<port>[0-9]{1,5})", re.ASCII)
HOW: Final = "an address is written like 127.0.0.1:8080, [::1]:8080 or unix:/run/gateway.sock"
SOCKET_PATH: Final = 107
"""Linux keeps 108 bytes for a socket's path, one of them for the end (unix(7))."""


@dataclass(frozen=True, slots=True)
class Address:
    """One place to bind: `host` and `port` (0: any free one), or the `path` of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_unix(self) -> bool:
        return bool(self.path)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return self.is_unix or ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        if self.is_unix:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Raises ValueError that names the form."""
    if text.startswith("unix:"):
        return _unix(text.removeprefix("unix:"))
    found = TCP.fullmatch(text)
    if found is None:
        raise ValueError(HOW)
    try:
        host = "127.0.0.1" if found["name"] else str(ipaddress.ip_address(found["v6"] or found["v4"]))
    except ValueError as error:
        raise ValueError(HOW) from error
    if (":" in host) != bool(found["v6"]):
        raise ValueError(HOW)
    if int(found["port"]) > 65535:
        raise ValueError("a port is at most 65535")
    return Address(host, int(found["port"]))


def _unix(path: str) -> Address:
    if not path.startswith("/") or "\0" in path:
        raise ValueError("the path of a unix socket is absolute: unix:/run/gateway.sock")
    if len(path.encode("utf-8", "surrogateescape")) > SOCKET_PATH:
        raise ValueError(f"the path of a unix socket has at most {SOCKET_PATH} bytes")
    return Address(path=path)
