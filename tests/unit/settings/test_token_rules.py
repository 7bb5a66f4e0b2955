"""What the gateway issues: rules between `tokens:`, `clients:` and the rest, each by the smallest configuration that breaks it."""

from pathlib import Path
from typing import Any

import pytest

from gateway.settings import Settings
from gateway.settings.load import load
from gateway.tokens.model import Tokens
from gateway.workers.rules import problems
from tests.unit.settings.test_rules import JWT, told

TOKENS: dict[str, Any] = {"issuer": "https://gw.example", "key": {"env": "A"}}
CLIENT: dict[str, Any] = {"secret": {"env": "B"}, "grants": ["token_exchange"]}
SIGNER = {"auth": "private_key_jwt", "jwks": {"url": "https://10.0.0.1/jwks"}, "grants": ["client_credentials"]}


def configured(**client: Any) -> dict[str, Any]:
    made = CLIENT | client if "auth" not in client else client
    return {"tokens": TOKENS, "clients": {"agent": made}}


@pytest.mark.parametrize(
    ("overlay", "finding"),
    [
        (configured(), None),
        (configured(exchanges=["tokens", "jwt.corp"]), None),
        (configured(exchanges=["jwt.crop"]), "clients.agent.exchanges[0]: unknown scheme 'jwt.crop'"),
        (configured(exchanges=["mtls"]), "clients.agent.exchanges[0]: unknown scheme 'mtls'"),
        (configured(exchanges=["api_keys"]), "clients.agent.exchanges[0]: unknown scheme 'api_keys'"),
        (configured(**SIGNER), "clients.agent.jwks.url: "),
        ({"tokens": TOKENS | {"issuer": JWT["issuer"]}}, "authentication.jwt.corp.issuer: is the gateway's own"),
    ],
    ids=["sound", "another issuer's", "mistyped", "certificates", "no keys", "private address", "one issuer twice"],
)
def test_what_is_exchanged_and_issued_is_told_apart(overlay: dict[str, Any], finding: str | None) -> None:
    found = [line for line in told(overlay) if line.startswith(("clients.", "authentication.jwt"))]
    assert len(found) == (finding is not None)
    assert all(line.startswith(str(finding)) for line in found)


@pytest.mark.parametrize(
    "more",
    [
        {"issuer": "http://gw.example"},
        {"issuer": "https://gw.example?x=1"},
        {"lifetime": "2d"},
        {"lifetime": "2h", "rotate_every": "1h"},
        {"key": []},
        {"key": [{"env": "A"}] * 5},
        {"algorithm": "HS256"},
    ],
    ids=str,
)
def test_an_issuer_that_could_not_be_relied_on_is_refused(more: dict[str, Any]) -> None:

    with pytest.raises(ValueError, match="validation error"):
        Tokens.model_validate(TOKENS | more)


def test_several_workers_do_not_forget_what_one_revoked(tmp_path: Path) -> None:

    settings = Settings.model_validate({"version": 1, "tokens": TOKENS, "rate_limits": {"per_worker": True}})
    (tmp_path / "config.yaml").write_text("version: 1\n")
    [found] = problems(load([tmp_path / "config.yaml"], environ={}), settings)
    assert "memory with --workers above 1" in found.message
