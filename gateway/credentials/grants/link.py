"""Where somebody whose grant is missing, broken or too narrow can connect: an address for a person to open, never a redirect."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, final
from urllib.parse import urlencode

NOBODY: Mapping[str, str] = MappingProxyType({})


@final
@dataclass(frozen=True, slots=True)
class Link:
    """`url` is the page of one provider, "" where nobody can connect there. `logins` are the issuers that log in in a browser;
    `people` names, of other issuers, the login whose people they are."""

    url: str = ""
    logins: frozenset[str] = frozenset()
    people: Mapping[str, str] = field(default_factory=lambda: NOBODY)

    def told(self, members: Mapping[str, Any] | None, issuer: str, scopes: Iterable[str]) -> dict[str, Any]:
        """A refusal's members with the page, where whoever was refused can help himself there."""
        told = dict(members or {})
        if self.url and issuer in self.logins:
            asked = " ".join(sorted(scopes))
            told["connect_url"] = f"{self.url}?{urlencode({'scope': asked})}" if asked else self.url
        return told


NOWHERE: Final = Link()
