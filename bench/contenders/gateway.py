"""The gateway itself, through `gateway serve`: the same process, event loop and defaults as in production."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from bench.contenders.contender import Contender, Setup
from bench.contenders.place import beneath
from bench.process import Launch, free_port
from bench.site import AUDIENCE, ISSUER, SIZES, Site
from gateway import __version__

REPOSITORY = Path(__file__).parents[2]
RELEASE = beneath("gateway") / "bin" / "python"
"""Of the environment into which `make bench` installs the wheel with the compiled request path, as a user would."""
BUILD = "import platform; print('CPython', platform.python_version(), *platform.python_build()[1:])"
POLICY = """
apiVersion: gateway/v1
kind: Policy
name: api
routes: ["api.*"]
rules:
  - name: own-tenant
    allow: [GET, POST]
    permission: items:use
    when: subject.claims.tenant == 'acme' && request.method in ['GET', 'POST'] && resource.path != '/api/v1/items/secret'
"""
ROLES = """
apiVersion: gateway/v1
kind: Roles
roles: {reader: [items:use]}
bindings: [{from_claim: roles, issuer: corp, only: [reader]}]
"""
OPEN = """
apiVersion: gateway/v1
kind: Policy
name: api
routes: ["api.*"]
rules: [{name: everybody, allow: any}]
"""
MANY = "100000000/minute"
"""A limit that is counted and never reached."""


def configuration(site: Site, setup: Setup, port: int, admin: int) -> dict[str, Any]:
    """The configuration as a document; JSON is YAML."""
    full = setup.chain == "full"
    back = site.back_tls if setup.tls else site.back
    tls = {"tls": {"ca": str(site.authority)}} if setup.tls else {"allow_plaintext": True}
    ours = {"internal": True, "connections": 256} | ({"credential": "backend"} if full else {})
    document: dict[str, Any] = {
        "version": 1,
        "listen": listener(site, setup, port),
        "admin": {"address": f"127.0.0.1:{admin}"},
        "policies": "policies",
        "upstreams": {
            "back": {"url": f"{'https' if setup.tls else 'http'}://127.0.0.1:{back}", **tls, **ours},
            "stream": {"url": f"http://127.0.0.1:{site.stream}", "allow_plaintext": True, **ours},
        },
        "routes": [
            route(full, "items", "/api/v1/items/**", "back"),
            route(full, "files", "/api/v1/files/**", "back"),
            route(full, "stream", "/api/v1/stream/**", "stream"),
        ],
        "audit": {"file": "audit.jsonl"},
        "log": {"level": "warning"},
    }
    return document | (chain(site, setup) if full else {})


def listener(site: Site, setup: Setup, port: int) -> dict[str, Any]:
    tls = {"tls": {"certificate": str(site.certificate), "key": {"file": str(site.key)}}} if setup.tls else {}
    return {
        "address": f"127.0.0.1:{port}",
        "limits": {"connections": 20000, "body": 2 * SIZES["100m"], "idle_timeout": "1h"},
        **tls,
    }


def route(full: bool, name: str, path: str, upstream: str) -> dict[str, Any]:
    asks = {"authenticate": ["jwt.corp"], "rate_limits": ["per-principal"]} if full else {"anonymous": True}
    return {"name": f"api.{name}", "match": {"path": path, "methods": ["GET", "POST"]}, "upstream": upstream, **asks}


def chain(site: Site, setup: Setup) -> dict[str, Any]:
    store = {"store": {"redis": {"url": f"redis://127.0.0.1:{site.redis}/0"}}} if setup.redis else {}
    issuer = {"issuer": ISSUER, "audience": [AUDIENCE], "jwks": {"file": str(site.jwks)}, "algorithms": ["RS256"]}
    rules = {"per-address": {"key": "client.address", "limit": MANY}, "per-principal": {"key": "subject", "limit": MANY}}
    return {
        "authentication": {"jwt": {"corp": issuer}},
        "rate_limits": {"default": ["per-address"], "rules": rules, "per_worker": setup.workers > 1, **store},
        "credentials": {"backend": {"inject": "bearer", "secret": {"env": "BENCH_TOKEN"}}},
        "telemetry": {"traces": {"otlp": f"http://127.0.0.1:{site.back}", "sample": setup.spans}},
    }


def launch(site: Site, setup: Setup, folder: Path, port: int, *, tree: Path | None = None) -> Launch:
    """The sources in `tree`, else what is installed, else the sources here."""
    (folder / "policies").mkdir(exist_ok=True)
    written = {"api": POLICY, "roles": ROLES} if setup.chain == "full" else {"api": OPEN}
    for name, text in written.items():
        (folder / "policies" / f"{name}.yaml").write_text(text)
    (folder / "config.yaml").write_text(json.dumps(configuration(site, setup, port, free_port()), indent=1))
    workers = ("--workers", str(setup.workers)) if setup.workers > 1 else ()
    python, sources = (sys.executable, tree or REPOSITORY) if tree or not RELEASE.exists() else (RELEASE, None)
    command = (str(python), "-m", "gateway", "serve", "--config", "config.yaml", *workers)
    return Launch(command, {"BENCH_TOKEN": "bench-upstream-token-0123456789", **({"PYTHONPATH": str(sources)} if sources else {})})


def version() -> str:
    if not RELEASE.exists():
        return f"{__version__}, interpreted"
    build = subprocess.run([RELEASE, "-c", BUILD], capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    return f"{__version__}, compiled, on {build}"


GATEWAY = Contender(
    "gateway",
    launch,
    version,
    setups=("bare", "full"),
    note="The gateway's audit trail cannot be switched off: its bare row writes one line a request to a file, which no other bare row does.",
)
INTERPRETED = Contender(
    "gateway (Python)",
    partial(launch, tree=REPOSITORY),
    lambda: __version__,
    setups=("full",),
    note="The gateway compiles its request path to C, from the same sources; interpreted is the wheel for any platform.",
)
