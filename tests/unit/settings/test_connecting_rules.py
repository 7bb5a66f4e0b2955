"""What a configuration says of connections that no single part can judge."""

from typing import Any

import pytest

from tests.unit.settings.test_rules import SOUND, told

CLIENT = {"id": "us", "secret": {"env": "S"}}
LOGIN = {"issuer": "https://i.example", "client_id": "us", "client_secret": {"env": "S"}}
PLACES = {"authorize_url": "https://t.example/a", "account_url": "https://t.example/me"}


def connecting(provider: dict[str, Any] | None = None, login: bool = True, **connect: Any) -> dict[str, Any]:
    authentication: dict[str, Any] = dict(SOUND["authentication"])
    if login:
        authentication |= {"login": {"staff": LOGIN}, "sessions": {"base_url": "https://gw.example", "key": {"env": "K"}}}
    tracker = {"kind": "oauth", "token_url": "https://t.example/t", "client": CLIENT, "connect": PLACES | connect}
    routes = [SOUND["routes"][0] | {"authenticate": ["jwt.corp", "login.staff"]}] if login else SOUND["routes"]
    return {"authentication": authentication, "routes": routes, "providers": {"tracker": tracker | (provider or {})}}


@pytest.mark.parametrize(
    ("overlay", "expected"),
    [
        (connecting(), []),
        (connecting(same_people={"corp": "staff"}), []),
        (connecting(login=False), ["providers.tracker.connect: nobody logs in here"]),
        (connecting(same_people={"other": "staff"}), ["same_people.other: no issuer 'other'"]),
        (connecting(same_people={"staff": "staff"}), ["same_people.staff: no issuer 'staff'"]),
        (connecting(same_people={"corp": "partner"}), ["same_people.corp: no login 'partner'"]),
        (connecting(revoke_url="https://10.0.0.1/r"), ["connect.revoke_url: 10.0.0.1 is not a public address"]),
        (connecting(authorize_url="https://10.0.0.1/a"), []),
        (connecting({"dial": {"allow_private": True}}, revoke_url="https://10.0.0.1/r"), []),
        (connecting(account_url=None), ["warning: providers.tracker.connect: nobody is told whose account"]),
        (connecting({"client": {"id": "us", "auth": "none"}}), ["warning: providers.tracker.connect: a public client"]),
        (
            connecting() | {"security_headers": {"X-Frame-Options": "SAMEORIGIN", "Content-Security-Policy": "default-src 'self'"}},
            ["warning: providers.tracker.connect: other sites may lay its consent"],
        ),
        (connecting() | {"security_headers": {"X-Frame-Options": None, "Content-Security-Policy": None}}, []),
    ],
)
def test_each_finding_by_the_smallest_configuration(overlay: dict[str, Any], expected: list[str]) -> None:
    findings = [each for each in told(overlay) if "providers." in each]
    assert len(findings) == len(expected)
    assert all(part in each for part, each in zip(expected, findings, strict=True)), findings
