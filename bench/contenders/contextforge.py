"""ContextForge, an MCP gateway in Python: a tool call becomes a GET to the upstream. Only with `--long`.

As it is shipped: SQLite, one worker, a token of its own kind (HS256). It answers JSON-RPC and wraps the upstream's answer, so it
does another work than a proxy; the gateway is compared with it because people choose between the two.
"""

import http.client
import json
import time
from pathlib import Path

import jwt

from bench.contenders.contender import Ask, Contender, Setup
from bench.contenders.place import command, distribution
from bench.process import Launch, NotStarted
from bench.site import Site

KEY = "bench-jwt-key-0123456789abcdef0123456789abcdef"
WHO = "admin@example.com"
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "items", "arguments": {}}}


def launch(site: Site, setup: Setup, folder: Path, port: int) -> Launch:
    environ = {
        "DATABASE_URL": f"sqlite:///{folder}/forge.db",
        "JWT_SECRET_KEY": KEY,
        "AUTH_ENCRYPTION_SECRET": KEY[::-1],
        "PLATFORM_ADMIN_EMAIL": WHO,
        "PLATFORM_ADMIN_PASSWORD": "Bench-0123456789-admin!",
        "BASIC_AUTH_PASSWORD": "Bench-0123456789-basic!",
        "SSRF_ALLOW_LOCALHOST": "true",
        "SSRF_ALLOW_PRIVATE_NETWORKS": "true",
        "MCPGATEWAY_UI_ENABLED": "false",
        "PLUGINS_ENABLED": "false",
        "CACHE_TYPE": "memory",
    }
    return Launch((command("contextforge", "mcpgateway"), "--host", "127.0.0.1", "--port", str(port)), environ, startup=180)


def headers() -> dict[str, str]:
    now = int(time.time())
    user = {"email": WHO, "is_admin": True, "full_name": "Bench", "auth_provider": "local"}
    claims = {"sub": WHO, "iss": "mcpgateway", "aud": "mcpgateway-api", "iat": now, "exp": now + 4 * 3600, "jti": "bench"}
    token = jwt.encode({**claims, "token_use": "session", "is_admin": True, "teams": None, "user": user}, KEY, "HS256")
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


def ask(site: Site) -> Ask:
    return Ask("POST", "/rpc", headers(), json.dumps(CALL), answers='"isError":false')


def prepare(site: Site, port: int) -> None:
    """Register the upstream as a tool. Raises NotStarted."""
    tool = {
        "name": "items",
        "url": f"http://127.0.0.1:{site.back}/api/v1/items/17",
        "integration_type": "REST",
        "request_type": "GET",
    }
    more = {"input_schema": {"type": "object", "properties": {}}, "visibility": "public"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/tools", json.dumps({"tool": tool | more}), headers())
        answer = connection.getresponse()
        if answer.status not in (200, 201):
            raise NotStarted(f"the tool could not be registered: {answer.status} {answer.read()[:150]!r}")
    except (OSError, http.client.HTTPException) as error:
        raise NotStarted(f"the tool could not be registered: {error!r}") from error
    finally:
        connection.close()


CONTEXTFORGE = Contender(
    "ContextForge",
    launch,
    lambda: distribution("contextforge", "mcp_contextforge_gateway"),
    setups=(),
    least=8.0,
    connections=8,
    ask=ask,
    prepare=prepare,
    note="ContextForge is asked for a tool call over JSON-RPC, with a token of its own; LiteLLM passes through without asking for any. Both have 8 clients, which keep them busy: with 64 the first answer takes longer than a measurement.",
)
