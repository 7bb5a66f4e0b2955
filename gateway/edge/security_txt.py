"""/.well-known/security.txt, written from the configuration (RFC 9116)."""

from collections.abc import Iterator
from time import gmtime, strftime
from typing import Final

from gateway.core.message import Response
from gateway.edge.model import SecurityTxt

PATH: Final = "/.well-known/security.txt"
LONGEST: Final = 366 * 86400.0
CONTACTS: Final = ("mailto:", "https://", "tel:")


class SecurityText:
    """The document. It is rendered anew for each answer, so that a gateway that runs for years never serves an expired one.

    Raises ValueError for what RFC 9116 does not allow: contacts that are no URI, links that are not https, line breaks, and an
    expiry of more than a year.
    """

    __slots__ = ("_before", "_expires")

    def __init__(self, config: SecurityTxt) -> None:
        if not 0 < config.expires <= LONGEST:
            raise ValueError("expires: at most a year (RFC 9116 section 2.5.5)")
        self._expires = config.expires
        self._before = "".join(f"{name}: {value}\n" for name, value in fields(config))

    def render(self, now: float) -> bytes:
        """The text at `now` (Unix seconds)."""
        return f"{self._before}Expires: {strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(now + self._expires))}\n".encode()

    def response(self, now: float) -> Response:
        """The answer to a GET."""
        return Response(200, [(b"content-type", b"text/plain; charset=utf-8")], self.render(now))


def fields(config: SecurityTxt) -> Iterator[tuple[str, str]]:
    """The fields but Expires, in the order of the RFC's chapters. Raises ValueError."""
    contacts = [config.contact] if isinstance(config.contact, str) else config.contact
    if not contacts:
        raise ValueError("contact: at least one is required (RFC 9116 section 2.5.3)")
    for contact in contacts:
        if not contact.startswith(CONTACTS):
            raise ValueError("contact: a URI that begins with mailto:, https:// or tel: (RFC 9116 section 2.5.3)")
    links = {
        "Acknowledgments": config.acknowledgments,
        "Canonical": config.canonical,
        "Encryption": config.encryption,
        "Policy": config.policy,
    }
    for name, link in links.items():
        if link is not None and link.startswith("http://"):
            raise ValueError(f"{name.lower()}: a web link begins with https:// (RFC 9116 section 2.5)")
    languages = {"Preferred-Languages": config.preferred_languages}
    for name, value in [*(("Contact", contact) for contact in contacts), *links.items(), *languages.items()]:
        if value is not None:
            if not value.isprintable():
                raise ValueError(f"{name.lower()}: control characters")
            yield name, value
