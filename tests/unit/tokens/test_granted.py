"""What is left of a consent where the client may have less than it had."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.tokens.granted import Granted
from gateway.tokens.model import Client

CLIENT: dict[str, Any] = {"auth": "none", "grants": ["authorization_code"], "redirect_uris": ["https://app.test/cb"]}
CLIENT |= {"scopes": ["notes:read", "notes:write"], "audiences": ["https://gw.test/notes"], "login": "corp"}
DEFAULT = "https://gw.test"


@pytest.mark.parametrize(
    ("over", "scopes"),
    [({}, ("notes:read", "notes:write")), ({"scopes": ["notes:read", "more"]}, ("notes:read",)), ({"scopes": []}, ()), ({"login": None}, ("notes:read", "notes:write"))],
)  # fmt: skip
def test_scopes_that_the_client_lost_are_gone(granted: Granted, over: dict[str, Any], scopes: tuple[str, ...]) -> None:
    left = granted.within(Client.model_validate(CLIENT | over), DEFAULT)
    assert left == replace(granted, scopes=scopes)


@pytest.mark.parametrize("over", [{"audiences": []}, {"audiences": ["https://gw.test/others"]}, {"login": "partner"}])
def test_nothing_is_left_for_other_audiences_or_logins(granted: Granted, over: dict[str, Any]) -> None:
    assert granted.within(Client.model_validate(CLIENT | over), DEFAULT) is None
