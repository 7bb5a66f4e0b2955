"""Where secrets that rotate must lie, and which upstream tells whether a new one counts."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.credentials.rotation.model import Rotate
from tests.unit.settings.test_rules import told

ROTATE = {"every": "90d", "hook": {"command": ["/opt/rotate"]}, "verify": {"path": "/me"}}
BOT = {"inject": "bearer", "secret": {"sealed": "bot"}, "rotate": ROTATE}
KEYS = {"inject": "sigv4", "region": "eu-central-1", "service": "s3", "keys": {"sealed": "bot"}, "rotate": ROTATE}
APART = {name: value for name, value in KEYS.items() if name != "keys"} | {
    "access_key_id": "A",
    "secret_access_key": {"sealed": "bot"},
}
ROLE = "arn:aws:iam::111122223333:role/gateway"
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
            {"credentials": {"bot": BOT | {"rotate": {"every": "90d", "provider": {"kind": "aws_iam"}}}}},
            f"{AT}.provider: `aws_iam` mints nothing that `inject: bearer` could use",
        ),
        (
            {"credentials": {"bot": KEYS | {"rotate": {"every": "90d", "provider": {"kind": "gitlab"}}}}},
            f"{AT}.provider: `gitlab` mints nothing that `inject: sigv4` could use",
        ),
        ({"credentials": {"bot": APART}}, f"{AT}: only keys of the database rotate, both in one document"),
        ({"credentials": {"bot": KEYS | {"assume_role": {"arn": ROLE}}}}, f"{AT}: with `assume_role` the keys are not shown"),
        (
            {"upstreams": {"github": GITHUB | {"tls": {"client_certificate": "/c", "client_key": {"file": "/k"}}}}},
            f"{AT}.verify: upstream 'github' wants a client certificate",
        ),
    ],
)
def test_what_cannot_rotate_is_found(overlay: dict[str, Any], wrong: str) -> None:
    assert any(line.startswith(wrong) for line in found(overlay)), found(overlay)


GITLAB = {"every": "90d", "provider": {"kind": "gitlab"}}


@pytest.mark.parametrize(
    ("rotate", "wrong"),
    [
        ({**ROTATE, **GITLAB}, "exactly one of `hook` and `provider` mints"),
        ({"every": "90d"}, "exactly one of `hook` and `provider` mints"),
        ({"every": "90d", "hook": {"command": ["/opt/rotate"]}}, "with a `hook`, `verify` says"),
        ({**GITLAB, "overlap": "1h"}, "there is no `overlap` with GitLab"),
        ({"every": "90d", "provider": {"kind": "gitlab", "lifetime": "90d"}}, "`lifetime` must be a day longer"),
        ({"every": "400d", "provider": {"kind": "gitlab"}}, "GitLab's tokens live 400 days at most"),
        ({"every": "90d", "provider": {"kind": "gitlab", "project": 1, "group": 2}}, "of a `project` or of a `group`"),
        ({"every": "90d", "provider": {"kind": "gitlab", "api": "http://gitlab.example.com"}}, "`api` must be https"),
        ({"every": "90d", "provider": {"kind": "aws_iam", "url": "http://iam.example.com"}}, "`url` must be https"),
    ],
)
def test_what_cannot_mint_is_refused(rotate: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(wrong)):
        Rotate.model_validate(rotate)
