"""APIs as far as their pages in docs/how-to speak of them: which fields must say what, and what is answered then.

Who comes with a credential in another form, or with another one, gets the refusal of that API.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.aws import verify
from tests.house import Seen
from tests.minting import Asked
from tests.minting import reply as framed
from tests.pages import secret

Body = dict[str, Any] | list[Any]
Answers = Mapping[str, Body | Callable[[Seen], Body]]
"""What is answered to `METHOD /path`, as it stands on the wire."""


def reply(body: Body, status: int = 200) -> bytes:
    """JSON as most APIs write it, without spaces."""
    return framed(json.dumps(body, separators=(",", ":")).encode(), status)


@dataclass(frozen=True)
class StandIn:
    """One host. `fields`: what header fields must be, None where there may be none of that name."""

    fields: Mapping[str, str | None]
    answers: Answers
    refusal: Body
    refused: int = 401
    lost: Body = field(default_factory=lambda: {"message": "no such path in the stand-in"})

    def __call__(self, seen: Seen) -> bytes:
        expected = {name: [] if value is None else [value] for name, value in self.fields.items()}
        if any(seen.all(name) != values for name, values in expected.items()):
            return reply(self.refusal, self.refused)
        answer = self.answers.get(f"{seen.method} {seen.target.partition('?')[0]}")
        if answer is None:
            return reply(self.lost, 404)
        return reply(answer(seen) if callable(answer) else answer)


@dataclass(frozen=True)
class Provider:
    """What one page speaks of: its upstreams by host, who mints tokens for them, a service that wants a client certificate."""

    hosts: Mapping[str, Callable[[Seen], bytes]]
    mint: Callable[[Asked], bytes] | None = None
    service: Callable[[Asked], bytes] | None = None


def said(seen: Seen) -> Any:
    """A body of JSON."""
    assert seen.all("content-type")[0].startswith("application/json")
    return json.loads(seen.body)


def posted(seen: Seen) -> Body:
    """chat.postMessage: 200 whatever happens."""
    channel = said(seen)["channel"]
    if channel != "C024BE91L":
        return {"ok": False, "error": "channel_not_found"}
    return {"ok": True, "channel": channel, "ts": "1503435956.000247"}


GITLAB = StandIn(
    {"private-token": secret("gitlab-token"), "authorization": None},
    {
        "GET /api/v4/projects/acme%2Fsite/issues": [{"iid": 7, "title": "Login fails"}],
        "POST /api/v4/projects/acme%2Fsite/issues": lambda seen: {"iid": 8, "title": said(seen)["title"]},
    },
    {"message": "401 Unauthorized"},
)
SLACK = StandIn(
    {"authorization": f"Bearer {secret('slack-token')}"},
    {
        "GET /api/conversations.list": {"ok": True, "channels": [{"id": "C024BE91L", "name": "general"}]},
        "POST /api/chat.postMessage": posted,
    },
    {"ok": False, "error": "invalid_auth"},
    200,
)
STRIPE = StandIn(
    {"authorization": f"Bearer {secret('stripe-key')}", "stripe-version": "2025-09-30.clover", "stripe-account": None},
    {
        "GET /v1/customers/cus_example": {"id": "cus_example", "object": "customer"},
        "POST /v1/refunds": lambda seen: {
            "id": "re_example",
            "object": "refund",
            "status": "succeeded" if seen.all("idempotency-key") == ["order-17"] else "failed",
        },
    },
    {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided: rk_test_****"}},
)


def prompted(seen: Seen) -> Body:
    """A model's answer to `contents` with some text."""
    assert said(seen)["contents"][0]["parts"][0]["text"]
    return {"candidates": [{"content": {"parts": [{"text": "Hello!"}], "role": "model"}}]}


def called(seen: Seen) -> Body:
    """An MCP server that answers without a stream."""
    assert seen.all("accept") == ["application/json, text/event-stream"]
    asked = said(seen)
    tools = [{"name": name} for name in ("search", "fetch", "delete_everything")]
    if asked["method"] == "tools/list":
        return {"jsonrpc": "2.0", "id": asked["id"], "result": {"tools": tools}}
    text = {"type": "text", "text": f"called {asked['params']['name']}"}
    return {"jsonrpc": "2.0", "id": asked["id"], "result": {"content": [text]}}


def converse(seen: Seen) -> bytes:
    """Bedrock: the signature is recomputed, and it must be for `bedrock`."""
    if "/us-east-1/bedrock/aws4_request" not in seen.all("authorization")[0]:
        return reply({"message": "InvalidSignatureException"}, 403)
    verify(seen.method, seen.target, seen.headers, seen.body, secret=secret("bedrock-secret"))
    assert unquote(seen.target) == "/model/amazon.nova-lite-v1:0/converse"
    message = {"role": "assistant", "content": [{"text": "Hello!"}]}
    return reply({"output": {"message": message}, "stopReason": "end_turn"})


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def federated(service: str, form: Mapping[str, str], lifetime: int = 3600) -> Callable[[Asked], bytes]:
    """A token endpoint that demands exactly `form`, where `*` is any JWT, and mints `minted-for-SERVICE`."""

    def mint(asked: Asked) -> bytes:
        given = asked.json() if (asked.header("content-type") or "").startswith("application/json") else asked.form
        same = given.keys() == form.keys() and all(value in ("*", given[name]) for name, value in form.items())
        jwts = all(given[name].count(".") == 2 for name, value in form.items() if value == "*") if same else False
        if not (same and jwts):
            return reply({"error": "invalid_request", "error_description": f"another form: {sorted(given)}"}, 400)
        return reply({"access_token": f"minted-for-{service}", "token_type": "Bearer", "expires_in": lifetime})

    return mint


SITE = "11111111-2222-4333-8444-555555555555"
ATLASSIAN_ANSWERS: Answers = {
    f"GET /ex/jira/{SITE}/rest/api/3/issue/OPS-17": {"key": "OPS-17", "fields": {"summary": "Printer is on fire"}},
    f"POST /ex/jira/{SITE}/rest/api/3/issue/OPS-17/comment": lambda seen: {"id": "10010"} if said(seen)["body"] else {},
    f"GET /ex/confluence/{SITE}/wiki/api/v2/pages/65538": {"id": "65538", "title": "Runbook", "status": "current"},
}
ATLASSIAN = StandIn(
    {"authorization": basic("gateway@serviceaccount.atlassian.com", secret("atlassian-token"))},
    ATLASSIAN_ANSWERS,
    {"code": 401, "message": "Unauthorized"},
)
SITE_ITSELF = StandIn(
    ATLASSIAN.fields,
    {f"{way.split()[0]} /{way.split('/', 4)[4]}": answer for way, answer in ATLASSIAN_ANSWERS.items()},
    ATLASSIAN.refusal,
)
MCP = StandIn({"authorization": f"Bearer {secret('mcp-token')}"}, {"POST /mcp": called}, {"error": "invalid_token"})
GEMINI = StandIn(
    {"x-goog-api-key": secret("gemini-key"), "authorization": None},
    {"POST /v1beta/models/gemini-2.5-flash:generateContent": prompted},
    {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}},
    400,
)
AZURE_OPENAI = StandIn(
    {"api-key": secret("azure-openai-key"), "authorization": None},
    {"POST /openai/v1/responses": {"id": "resp_example", "object": "response", "status": "completed"}},
    {"error": {"code": "401", "message": "Access denied due to invalid subscription key or wrong API endpoint."}},
)
ENTRA = federated(
    "azure",
    {
        "grant_type": "client_credentials",
        "client_id": "11111111-2222-3333-4444-555555555555",
        "scope": "https://cognitiveservices.azure.com/.default",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "*",
    },
)
MADE_FOR_AZURE = {"authorization": "Bearer minted-for-azure", "api-key": None}
GRAPH = StandIn(
    {"authorization": "Bearer minted-for-azure"},
    {"GET /v1.0/users": {"value": [{"displayName": "Adele Vance"}]}},
    {"error": {"code": "InvalidAuthenticationToken", "message": "Access token validation failure."}},
)
GRAPH_FORM = {
    "grant_type": "client_credentials",
    "client_id": "11111111-2222-3333-4444-555555555555",
    "scope": "https://graph.microsoft.com/.default",
}
BY_ASSERTION = {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion": "*"}
MESSAGE: Body = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hello!"}]}
ANTHROPIC = StandIn(
    {"x-api-key": secret("anthropic-key"), "anthropic-version": "2023-06-01", "authorization": None},
    {"POST /v1/messages": MESSAGE},
    {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}},
)
FEDERATED_ANTHROPIC = {
    "authorization": "Bearer minted-for-anthropic",
    "x-api-key": None,
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "oauth-2025-04-20",
}
ANTHROPIC_FORM = {
    "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "assertion": "*",
    "federation_rule_id": "fdrl_example",
    "organization_id": "00000000-0000-4000-8000-000000000000",
    "service_account_id": "svac_example",
    "workspace_id": "wrkspc_example",
}
OPENAI = StandIn(
    {"authorization": f"Bearer {secret('openai-key')}", "openai-organization": None},
    {"POST /v1/responses": {"id": "resp_example", "object": "response", "status": "completed"}},
    {"error": {"message": "Incorrect API key provided: sk-****", "type": "invalid_request_error", "code": "invalid_api_key"}},
)
OPENAI_FORM = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token": "*",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "identity_provider_id": "idp_example",
    "service_account_id": "sa_example",
}
MCP_FORM = {"grant_type": "client_credentials", "scope": "mcp:tools", "resource": "https://mcp.example.com/mcp"}
UNAUTHENTICATED: Body = {
    "error": {"code": 401, "message": "Request had invalid authentication credentials.", "status": "UNAUTHENTICATED"}
}
BIGQUERY = StandIn(
    {"authorization": "Bearer minted-for-account"},
    {"GET /bigquery/v2/projects/acme-prod/datasets": {"kind": "bigquery#datasetList", "datasets": []}},
    UNAUTHENTICATED,
)
CALENDAR = StandIn(
    {"authorization": "Bearer minted-for-calendar"},
    {"GET /calendar/v3/calendars/rooms@example.com/events": {"kind": "calendar#events", "items": []}},
    UNAUTHENTICATED,
)
GITHUB = StandIn(
    {"authorization": "Bearer ghs_example", "x-github-api-version": "2022-11-28"},
    {"GET /repos/acme/tools/issues": [{"number": 42, "title": "Found a bug"}]},
    {"message": "Bad credentials"},
)


def google(asked: Asked) -> bytes:
    """The token service, the service of accounts, and the token endpoint for keys."""
    if asked.target == "/v1/token":
        assert asked.form["audience"].endswith("/workloadIdentityPools/prod/providers/cluster")
        assert asked.form["subject_token"].count(".") == 2
        return reply({"access_token": "federated", "token_type": "Bearer", "expires_in": 3600})
    if asked.target == "/token":
        said = jwt.decode(asked.form["assertion"], options={"verify_signature": False})
        assert said["scope"] == "https://www.googleapis.com/auth/calendar.readonly"
        return reply({"access_token": "minted-for-calendar", "token_type": "Bearer", "expires_in": 3600})
    assert asked.target == "/v1/projects/-/serviceAccounts/gateway@example.iam.gserviceaccount.com:generateAccessToken"
    assert asked.header("authorization") == "Bearer federated"
    return reply({"accessToken": "minted-for-account", "expireTime": "2099-01-01T00:00:00Z"})


def github(asked: Asked) -> bytes:
    """POST /app/installations/{id}/access_tokens, for one repository."""
    assert asked.target == "/app/installations/4711/access_tokens"
    public: Any = load_pem_private_key(secret("github-app-key").encode(), None).public_key()
    statement = (asked.header("authorization") or "").removeprefix("Bearer ")
    jwt.decode(statement, public, ["RS256"], issuer="Iv23liExample")
    assert asked.json() == {"repositories": ["tools"], "permissions": {"issues": "read"}}
    return reply({"token": "ghs_example", "expires_at": "2099-01-01T00:00:00Z", "permissions": {"issues": "read"}}, 201)


def orders(asked: Asked) -> bytes:
    """A service of one's own: verifies the gateway's JWT, and has asked for its certificate."""
    public: Any = load_pem_private_key(secret("identity-key").encode(), None).public_key()
    token = (asked.header("authorization") or "").removeprefix("Bearer ")
    issuer, audience = "https://gateway.example.com", "https://orders.internal"
    said = jwt.decode(token, public, ["ES256"], issuer=issuer, audience=audience)
    seen = {"order": 7, "seen_by": said["sub"], "permissions": said["permissions"], "certificate": bool(asked.certificate)}
    assert asked.target == "/orders/7"
    return reply(seen)


PROVIDERS: Mapping[str, Provider] = {
    "upstream-anthropic": Provider({"api.anthropic.com": ANTHROPIC}),
    "upstream-anthropic: anthropic-federated": Provider(
        {"api.anthropic.com": replace(ANTHROPIC, fields=FEDERATED_ANTHROPIC)}, federated("anthropic", ANTHROPIC_FORM)
    ),
    "upstream-atlassian": Provider({"api.atlassian.com": ATLASSIAN}),
    "upstream-atlassian: https://acme.atlassian.net": Provider({"acme.atlassian.net": SITE_ITSELF}),
    "upstream-azure": Provider(
        {"graph.microsoft.com": GRAPH}, federated("azure", GRAPH_FORM | {"client_secret": secret("graph-secret")})
    ),
    "upstream-azure: certificate": Provider({"graph.microsoft.com": GRAPH}, federated("azure", GRAPH_FORM | BY_ASSERTION)),
    "upstream-azure: identity-token": Provider({"graph.microsoft.com": GRAPH}, federated("azure", GRAPH_FORM | BY_ASSERTION)),
    "upstream-azure-openai": Provider({"acme-models.openai.azure.com": AZURE_OPENAI}),
    "upstream-azure-openai: azure-openai-entra": Provider(
        {"acme-models.openai.azure.com": replace(AZURE_OPENAI, fields=MADE_FOR_AZURE)}, ENTRA
    ),
    "upstream-bedrock": Provider({"bedrock-runtime.us-east-1.amazonaws.com": converse}),
    "upstream-gemini": Provider({"generativelanguage.googleapis.com": GEMINI}),
    "upstream-github": Provider({"api.github.com": GITHUB}, github),
    "upstream-gitlab": Provider({"gitlab.com": GITLAB}),
    "upstream-google": Provider({"bigquery.googleapis.com": BIGQUERY, "www.googleapis.com": CALENDAR}, google),
    "upstream-internal": Provider({}, service=orders),
    "upstream-mcp": Provider({"mcp.example.com": MCP}),
    "upstream-mcp: mcp-oauth": Provider(
        {"mcp.example.com": replace(MCP, fields={"authorization": "Bearer minted-for-mcp"})}, federated("mcp", MCP_FORM)
    ),
    "upstream-openai": Provider({"api.openai.com": OPENAI}),
    "upstream-openai: openai-federated": Provider(
        {"api.openai.com": replace(OPENAI, fields={"authorization": "Bearer minted-for-openai"})}, federated("openai", OPENAI_FORM)
    ),
    "upstream-slack": Provider({"slack.com": SLACK}),
    "upstream-stripe": Provider({"api.stripe.com": STRIPE}),
}
"""By the names of pages; behind a colon what the piece says that is laid over the page's configuration."""
