"""What may be made, caught and revealed only in named places."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.repository.tree import ROOT, called, calls, functions, module, python

MAKERS = {
    "Request": {"gateway/edge/intake.py", "gateway/authz/cases.py"},
    "Head": {"gateway/edge/intake.py", "gateway/authz/cases.py"},
    "Permit": {"gateway/authz/policy.py"},
}
"""A Request and its Head are proof of admission: the second maker writes the imagined requests of policy tests and never serves one."""

CATCH_ALL: dict[str, int] = {
    "gateway/audit/trail.py": 1,
    "gateway/authn/api_keys.py": 1,
    "gateway/authn/key_table.py": 1,
    "gateway/authn/jwks.py": 1,
    "gateway/app.py": 1,
    "gateway/authn/login/renewal.py": 1,
    "gateway/config/replacing.py": 1,
    "gateway/credentials/sources/following.py": 1,
    "gateway/credentials/stored/following.py": 1,
    "gateway/credentials/tokens.py": 1,
    "gateway/custody.py": 1,
    "gateway/detection/guard.py": 1,
    "gateway/pipeline.py": 1,
    "gateway/process.py": 3,
    "gateway/reload.py": 1,
    "gateway/resources.py": 1,
    "gateway/revocations.py": 1,
    "gateway/rotations.py": 1,
    "gateway/server/accept.py": 1,
    "gateway/server/run.py": 1,
    "gateway/shaping/require.py": 1,
    "gateway/store/server.py": 1,
    "gateway/telemetry/otlp.py": 2,
    "gateway/upstream/check.py": 1,
    "gateway/workers/supervisor.py": 1,
    "gateway/workers/worker.py": 1,
    "gateway/store/redis_revoked.py": 1,
}
"""file -> handlers that catch everything (ARCHITECTURE 6): the corridor, the reload loop, background loops, and clean-up that re-raises."""

REVEALS: dict[str, int] = {
    "gateway/audit/masks.py": 1,
    "gateway/authn/introspection.py": 1,
    "gateway/authn/key_sources.py": 1,
    "gateway/authn/login/asking.py": 1,
    "gateway/authn/strength.py": 2,
    "gateway/cli/blocks.py": 1,
    "gateway/cli/key_homes.py": 1,
    "gateway/credentials/captured/injector.py": 1,
    "gateway/credentials/captured/keys.py": 1,
    "gateway/credentials/captured/placeholder.py": 1,
    "gateway/credentials/captured/signed.py": 1,
    "gateway/credentials/grants/ending.py": 1,
    "gateway/credentials/grants/evidence.py": 1,
    "gateway/credentials/grants/exchange.py": 1,
    "gateway/credentials/grants/grant.py": 2,
    "gateway/credentials/grants/held.py": 2,
    "gateway/credentials/assertion.py": 1,
    "gateway/credentials/client.py": 1,
    "gateway/credentials/exchange.py": 1,
    "gateway/credentials/google.py": 1,
    "gateway/credentials/hmac_signature.py": 1,
    "gateway/credentials/placed.py": 1,
    "gateway/credentials/rotation/gitlab.py": 1,
    "gateway/credentials/rotation/hook.py": 1,
    "gateway/credentials/rotation/iam.py": 1,
    "gateway/credentials/rotation/record.py": 2,
    "gateway/credentials/rotation/shown.py": 1,
    "gateway/credentials/signed_jwt.py": 1,
    "gateway/credentials/vault/keys.py": 3,
    "gateway/credentials/vault/ring.py": 3,
    "gateway/credentials/cloud/aws.py": 1,
    "gateway/credentials/cloud/aws_keys.py": 1,
    "gateway/credentials/cloud/gcp.py": 1,
    "gateway/credentials/cloud/hashicorp.py": 1,
    "gateway/credentials/sigv4_assumed.py": 1,
    "gateway/credentials/sources/following.py": 1,
    "gateway/credentials/sigv4_injector.py": 1,
    "gateway/credentials/sigv4_keys.py": 2,
    "gateway/doctor/ending.py": 1,
    "gateway/settings/secrets.py": 1,
    "gateway/store/server.py": 1,
    "gateway/store/sql/engine.py": 1,
    "gateway/upstream/tls.py": 1,
}
"""file -> calls of Secret.reveal(): each one a place to review."""


@pytest.mark.parametrize("name", MAKERS)
def test_a_proof_is_made_in_one_place(name: str) -> None:
    makers = {str(file) for file in python("gateway") for call in calls(file) if called(call) == name}
    assert makers == MAKERS[name]


def test_starlettes_slow_middleware_is_not_used() -> None:
    """It breaks streaming and context variables, and costs 84 microseconds a layer."""
    users = [
        str(file)
        for file in python("gateway")
        for node in ast.walk(module(file))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("starlette.middleware")
    ]
    assert users == []


def test_everything_is_caught_only_where_it_must_be() -> None:
    found = Counter(str(file) for file in python("gateway") for node in ast.walk(module(file)) if catches_everything(node))
    assert dict(found) == CATCH_ALL


def test_whoever_catches_everything_logs_it_or_raises_it_again() -> None:
    silent = [
        f"{file}:{node.lineno}"
        for file in python("gateway")
        for node in ast.walk(module(file))
        if isinstance(node, ast.ExceptHandler) and catches_everything(node) and not speaks(node)
    ]
    assert silent == []


def test_cancellation_is_never_swallowed() -> None:
    """A handler of CancelledError raises, or has cancelled the task itself and awaits its end."""
    swallowed = [
        f"{file}:{node.lineno}"
        for file in python("gateway")
        for node in ast.walk(module(file))
        if isinstance(node, ast.ExceptHandler)
        and "CancelledError" in names(node.type)
        and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
    ]
    assert swallowed == []


def test_secrets_are_revealed_only_in_reviewed_places() -> None:
    found = Counter(str(file) for file in python("gateway") for call in calls(file) if called(call) == "reveal")
    assert dict(found) == REVEALS


def test_no_room_reads_the_wall_clock_on_its_own_in_the_cellar() -> None:
    """core is words only: no I/O, no clock, no logging."""
    forbidden = {"time", "logging", "socket", "asyncio", "os", "datetime", "random"}
    imported = {
        (str(file), name)
        for file in python("gateway")
        if file.parts[1] == "core"
        for node in ast.walk(module(file))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
        if name.partition(".")[0] in forbidden
    }
    assert imported == set()


def test_no_module_keeps_state_of_its_own() -> None:
    """`global` is how module-level state is written; nothing here needs it."""
    writers = [
        f"{file}::{name}"
        for file in python("gateway")
        for name, node in functions(file)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Global)
    ]
    assert writers == []


def test_the_proofs_are_named_as_they_stand_in_the_code() -> None:
    """A guard on the guard: the names above exist."""
    for name, file in (("Request", "core/message.py"), ("Permit", "core/decision.py"), ("reveal", "core/secret.py")):
        assert name in Path(ROOT, "gateway", file).read_text()


def catches_everything(node: ast.AST) -> bool:
    return isinstance(node, ast.ExceptHandler) and (node.type is None or bool({"Exception", "BaseException"} & names(node.type)))


def names(node: ast.expr | None) -> set[str]:
    if node is None:
        return set()
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)} | {
        inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)
    }


def speaks(node: ast.ExceptHandler) -> bool:
    return any(
        isinstance(inner, ast.Raise) or (isinstance(inner, ast.Call) and called(inner) in ("exception", "error", "warning"))
        for inner in ast.walk(node)
    )
