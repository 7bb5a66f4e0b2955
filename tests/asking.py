"""Questions for policies: access requests, principals, and policies compiled from text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

from gateway.authz.attributes import POLICIES
from gateway.authz.cel.condition import Condition, clause
from gateway.authz.compile import compile_policies
from gateway.authz.document import PolicyDocuments, from_documents
from gateway.authz.policy import Policies, RouteFact
from gateway.config.document import read
from gateway.core.decision import AccessRequest
from gateway.core.errors import Problem
from gateway.core.message import Field, Request
from gateway.core.principal import Identity, Principal
from tests.fakes import a_request

NOW = 1_780_000_000.0
ISSUERS = frozenset({"corp", "partner", "api_keys", "mtls"})
MESSAGES = RouteFact("messages.get", ("GET", "HEAD", "POST", "DELETE"), "chat", ("org_id",), "config.yaml", 7, 5)
STATUS = RouteFact("status", None, "internal", ())


def an_access(
    method: str = "GET",
    *,
    route: str = "messages.get",
    params: Mapping[str, str] | None = None,
    headers: list[Field] | None = None,
    query: bytes | None = None,
    client: str = "192.0.2.1",
    now: float = NOW,
    path: str = "/v1/orgs/org_9/messages",
) -> AccessRequest:
    """A question about a route."""
    request: Request = a_request(method, headers=headers, client=client, path=path)
    request.query = query
    return AccessRequest(request, route, "chat", {"org_id": "org_9"} if params is None else params, now)


def an_identity(id: str = "alice", *, issuer: str = "corp", scheme: str = "jwt", **facts: Any) -> Identity:
    """What a scheme verified."""
    return Identity(id=id, issuer=issuer, scheme=scheme, **facts)


def a_subject(*, roles: tuple[str, ...] = (), permissions: tuple[str, ...] = (), **facts: Any) -> Principal:
    """A principal as conditions see one."""
    return Principal(an_identity(**facts), roles=roles, permissions=permissions)


def condition(*sources: str) -> Condition:
    """A condition over the names that policies can read."""
    return Condition([clause(source, POLICIES) for source in sources])


def policy(rules: str, *, name: str = "p", routes: str = "['*']", head: str = "") -> str:
    """A Policy document around rules written as a YAML list."""
    start = f"apiVersion: gateway/v1\nkind: Policy\nname: {name}\nroutes: {routes}\n{head}rules:\n"
    return start + dedent(rules).strip("\n") + "\n"


def roles(text: str) -> str:
    """A Roles document."""
    return "apiVersion: gateway/v1\nkind: Roles\n" + dedent(text).strip("\n") + "\n"


def documents(path: Path) -> PolicyDocuments:
    """The policy documents of a file or folder."""
    return from_documents(read(file) for file in (sorted(path.glob("*.y*ml")) if path.is_dir() else [path]))


def compiled(
    folder: Path,
    *texts: str,
    routes: Sequence[RouteFact] = (MESSAGES, STATUS),
    issuers: frozenset[str] = ISSUERS,
    test: str = "",
    **facts: Any,
) -> tuple[Policies | None, list[Problem]]:
    """Documents written to files 0.yaml, 1.yaml … and compiled; `test` is written to 0_test.yaml."""
    for number, text in enumerate(texts):
        folder.joinpath(f"{number}.yaml").write_text(text, encoding="utf-8")
    if test:
        folder.joinpath("0_test.yaml").write_text(test, encoding="utf-8")
    return compile_policies(documents(folder), routes=routes, issuers=issuers, **({"now": lambda: NOW} | facts))


def policies(folder: Path, *texts: str, **facts: Any) -> Policies:
    """Documents that compile without an error."""
    found, problems = compiled(folder, *texts, **facts)
    assert found is not None, [str(problem) for problem in problems]
    return found


def said(problems: Sequence[Problem], severity: str = "error") -> list[str]:
    """Problems as `line:column: message (hint)`."""
    shown = []
    for problem in problems:
        if problem.severity == severity:
            hint = f" ({problem.hint})" if problem.hint else ""
            shown.append(f"{problem.line}:{problem.column}: {problem.message}{hint}")
    return shown
