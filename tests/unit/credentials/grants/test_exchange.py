"""What providers answer who brings a refresh token."""

import pytest

from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetched
from gateway.credentials.grants.exchange import pair
from gateway.credentials.grants.providers import DEFINITIONS
from gateway.credentials.grants.refresh import Refused


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        ("github", 200, b'{"error":"bad_refresh_token"}'),
        ("slack", 200, b'{"ok":false,"error":"invalid_refresh_token"}'),
        ("atlassian", 403, b'{"error":"invalid_grant"}'),
        ("google", 400, b'{"error":"invalid_grant"}'),
        ("oauth", 400, b'{"error":"invalid_grant"}'),
    ],
)
def test_each_provider_s_word_for_a_refresh_token_of_no_use_is_known(kind: str, status: int, body: bytes) -> None:
    with pytest.raises(Refused):
        pair(Fetched(status, {}, body), "provider", DEFINITIONS[kind])


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":"temporarily_unavailable"}',
        b'{"error":["invalid_grant"]}',
        b'{"error":{"code":"invalid_grant"}}',
        b"invalid_grant",
    ],
)
def test_any_other_failure_says_nothing_of_the_refresh_token(body: bytes) -> None:
    with pytest.raises(DependencyDown):
        pair(Fetched(400, {}, body), "provider", DEFINITIONS["oauth"])
