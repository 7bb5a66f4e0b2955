"""The five requests of the demo: how a person sends them, and how the demo sends them itself."""

import http.client
import json
from dataclasses import dataclass
from typing import Any, Final

TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """One request and the answer it must get. `repeat` sends it that often; the last answer counts."""

    title: str
    target: str
    expected: int
    with_token: bool = True
    repeat: int = 1
    curl: str = ""


STEPS: Final = (
    Step("allowed, and carried with a credential that alice never sees", "/whoami", 200),
    Step("no credential", "/projects/acme/issues", 401, with_token=False),
    Step("another owner's project", "/projects/globex/issues", 403),
    Step("a third search within a minute", "/search?q=login", 429, repeat=3),
    Step("a path trick", "/projects/acme/../globex/issues", 400, curl="--path-as-is"),
)


def curl(step: Step, base: str) -> str:
    """The step as a line to paste; `$TOKEN` is alice's."""
    target = f"{step.target}&n=[1-{step.repeat}]" if step.repeat > 1 else step.target
    quiet = "-sS -o /dev/null -w '%{http_code}\\n'" if step.repeat > 1 else "-sS -i"
    token = ' -H "Authorization: Bearer $TOKEN"' if step.with_token else ""
    extra = f" {step.curl}" if step.curl else ""
    return f"curl {quiet}{extra}{token} '{base}{target}'"


def send(step: Step, port: int, token: str) -> tuple[int, dict[str, Any]]:
    """Send a step on loopback; the status and body of its last answer."""
    status, body = 0, b""
    for _ in range(step.repeat):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        try:
            connection.putrequest("GET", step.target)  # sends the target as it stands: http.client resolves nothing
            if step.with_token:
                connection.putheader("Authorization", f"Bearer {token}")
            connection.endheaders()
            answer = connection.getresponse()
            status, body = answer.status, answer.read()
        finally:
            connection.close()
    document = json.loads(body)
    return status, document if isinstance(document, dict) else {"items": document}


def shows(step: Step, status: int, document: dict[str, Any], token: str, upstream_token: str) -> bool:
    """Whether the answer is the one expected, and for the allowed one: carried with the credential, and without alice's token."""
    if status != step.expected:
        return False
    text = json.dumps(document)
    if upstream_token in text or token in text:
        return False
    return step.expected != 200 or document["headers"].get("authorization", "").startswith("Bearer ")
