"""Where secrets that rotate must lie, and which upstream tells whether a new one counts."""

from typing import Any

import pytest

from tests.unit.settings.test_rules import told

ROTATE = {"every": "90d", "hook": {"command": ["/opt/rotate"]}, "verify": {"path": "/me"}}
BOT = {"inject": "bearer", "secret": {"sealed": "bot"}, "rotate": ROTATE}
GITHUB = {"url": "https://api.example.com", "credential": "bot"}
SOUND: dict[str, Any] = {"database": {"file": "/x.db"}, "credentials": {"bot": BOT}, "upstreams": {"github": GITHUB}}
OTHER = {"url": "https://other.example.com", "credential": "bot"}
AT = "credentials.bot.rotate"


def found(overlay: dict[str, Any]) -> list[str]:
    return [line for line in told({**SOUND, **overlay}) if line.startswith("credentials")]


def test_a_sound_one_is_taken() -> None:
    assert found({}) == []


@pytest.mark.parametrize(
    ("overlay", "wrong"),
    [
        ({"credentials": {"bot": BOT | {"secret": {"env": "BOT"}}}}, f"{AT}: only a secret of the database rotates"),
        ({"database": None}, f"{AT}: only a secret of the database rotates"),
        ({"sealed": {"bot": "revoked"}}, f"{AT}: 'bot' lies in `sealed:`"),
        ({"credentials": {"bot": BOT, "two": BOT}}, "credentials.two.rotate: credential 'bot' rotates 'bot' already"),
        ({"upstreams": {"github": GITHUB, "other": OTHER}}, f"{AT}.verify: this credential goes to several upstreams"),
        ({"upstreams": {"github": {"url": "https://api.example.com"}}}, f"{AT}.verify: this credential goes to no upstream"),
        (
            {"credentials": {"bot": BOT | {"rotate": ROTATE | {"verify": {"path": "/me", "upstream": "far"}}}}},
            f"{AT}.verify.upstream: this credential does not go to upstream 'far'",
        ),
        (
            {"upstreams": {"github": GITHUB | {"tls": {"client_certificate": "/c", "client_key": {"file": "/k"}}}}},
            f"{AT}.verify: upstream 'github' wants a client certificate",
        ),
    ],
)
def test_what_cannot_rotate_is_found(overlay: dict[str, Any], wrong: str) -> None:
    assert any(line.startswith(wrong) for line in found(overlay)), found(overlay)
