"""No credential without a policy: the source asks before it injects, at one place."""

import ast
from pathlib import Path

from tests.repository.tree import called, calls, functions, python


def test_a_credential_is_injected_at_one_place_after_the_decision_of_the_same_service() -> None:
    injecting = [(str(file), call) for file in python("gateway") for call in calls(file) if attribute(call) == "inject"]
    assert [file for file, _ in injecting] == [
        "gateway/credentials/captured/keys_injector.py",
        "gateway/credentials/plan.py",
        "gateway/credentials/sigv4_assumed.py",
        "gateway/pipeline.py",
    ]
    assert (
        ast.unparse(injecting[0][1]) == "self._signer(spent, claim).inject(outbound, permit, frames)"
    )  # one that signs with keys it opened
    assert ast.unparse(injecting[1][1]) == "member.inject(outbound, permit)"  # an injector of injectors: what it was given
    assert ast.unparse(injecting[2][1]) == "self._signs.inject(outbound, permit)"  # one that signs with keys it was handed
    pipeline = dict(functions(Path("gateway/pipeline.py")))
    respond, forwarded = pipeline["respond"], pipeline["forwarded"]
    [inject] = [node for node in ast.walk(forwarded) if isinstance(node, ast.Call) and attribute(node) == "inject"]
    assert ast.unparse(inject) == "service.injector.inject(outbound, permit)"
    assert [assigned(forwarded, name) for name in ("service", "permit")] == [[], []]  # they are what it was given
    inside = [node for node in ast.walk(respond) if isinstance(node, ast.Call)]
    [decide] = [call for call in inside if attribute(call) == "decide"]
    [enforce] = [call for call in inside if called(call) == "enforce"]
    [forward] = [call for call in inside if called(call) == "forwarded"]
    assert ast.unparse(decide.func) == "policy.decide"
    assert assigned(respond, "policy") == ["service.policy"]
    assert [ast.unparse(argument) for argument in forward.args[1:3]] == ["service", "permit"]
    assert decide.lineno < enforce.lineno < forward.lineno
    assert assigned(respond, "service") == ["route.service"]
    assert assigned(respond, "permit") == ["enforce(principal, access, decision)"]
    assert f"decision = exchange.decision = {ast.unparse(decide)}" in ast.unparse(respond)
    assert [str(file) for file in python("gateway") for call in calls(file) if called(call) == "forwarded"] == [
        "gateway/pipeline.py"
    ]


def test_the_pipeline_is_entered_at_one_place() -> None:
    entering = [str(file) for file in python("gateway") for call in calls(file) if called(call) == "respond"]
    assert entering == ["gateway/app.py"]


def attribute(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def assigned(function: ast.AST, name: str) -> list[str]:
    """What a name is set to within a function."""
    found = []
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [ast.unparse(node.value) for target in targets if isinstance(target, ast.Name) and target.id == name]
    return found
