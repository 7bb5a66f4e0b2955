"""What a browser calls the origin a request was sent to."""

from typing import Final

from gateway.core.message import Head

DEFAULT_PORTS: Final = {"https": ":443", "http": ":80"}


def own_origin(head: Head) -> str:
    """The gateway's own origin as the client sees it, lower case. RFC 6454 6.2: the default port is left out."""
    scheme = "https" if head.secure else "http"
    return f"{scheme}://{head.authority.removesuffix(DEFAULT_PORTS[scheme])}"
