"""The whole gateway beside nginx as a bare reverse proxy, in the same run, on one core each.

    make bench        or        python bench/proxy.py --seconds 4 --rounds 3

Core 0 runs the proxy under test, core 1 the load (wrk) and the upstream (nginx serving 1 KB). The gateway does everything at
once: JWT (RS256, cached after first use), a policy with a condition, two limits in memory, bearer injection, audit to a file,
metrics, traces sampled at 1 %. nginx does nothing but forward over kept-alive connections. Loopback only; it stops by itself.
All clients ask for the same thing again and again, which both proxies like; --varied shows what that is worth. Rounds are
interleaved; the figure to quote is the median of the per-round ratios.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

PAYLOAD = json.dumps({"items": [{"id": number, "title": "x" * 20} for number in range(22)]})[:1024].ljust(1024)
NGINX = """
worker_processes 1; daemon off; pid {root}/{name}.pid; error_log {root}/{name}.err crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 3600s;
  client_body_temp_path {root}/{name}.body; proxy_temp_path {root}/{name}.proxy; fastcgi_temp_path {root}/{name}.f;
  uwsgi_temp_path {root}/{name}.u; scgi_temp_path {root}/{name}.s;
  {server}
}}
"""
UPSTREAM = "server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; root {root}; try_files /payload =404; }} location = /v1/traces {{ return 200; }} }}"
PROXY = """upstream back {{ server 127.0.0.1:{back}; keepalive 128; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}"""
CONFIG = """
version: 1
listen: {{address: "127.0.0.1:{port}", limits: {{connections: 20000}}}}
admin: {{address: "127.0.0.1:{admin}"}}
authentication:
  jwt:
    corp: {{issuer: "https://idp.example.com/", audience: [bench], jwks: {{file: jwks.json}}, algorithms: [RS256]}}
policies: policies
rate_limits:
  default: [per-address]
  rules:
    per-address: {{key: client.address, limit: 100000000/minute}}
    per-principal: {{key: subject, limit: 100000000/minute}}
credentials:
  backend: {{inject: bearer, secret: {{env: BENCH_TOKEN}}}}
upstreams:
  backend: {{url: "http://127.0.0.1:{back}", credential: backend, internal: true, allow_plaintext: true, connections: 256}}
routes:
  - {{name: items, match: {{path: "/api/v1/items/{{item}}", methods: [GET]}}, upstream: backend, authenticate: [jwt.corp], rate_limits: [per-principal]}}
audit: {{file: audit.jsonl}}
log: {{level: warning}}
telemetry: {{traces: {{otlp: "http://127.0.0.1:{otlp}", sample: 0.01}}}}
"""
POLICY = """
apiVersion: gateway/v1
kind: Policy
name: items
routes: [items]
rules:
  - name: read-own
    allow: [GET]
    permission: items:read
    when: subject.claims.tenant == 'acme' && request.method in ['GET', 'HEAD'] && resource.params.item != 'secret'
"""
ROLES = """
apiVersion: gateway/v1
kind: Roles
roles: {reader: [items:read]}
bindings: [{from_claim: roles, issuer: corp, only: [reader]}]
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], core: int, port: int, **keys: Any) -> Iterator[int]:
    process = subprocess.Popen(["taskset", "-c", str(core), *command], stdout=subprocess.DEVNULL, **keys)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} ended with {process.returncode}")
            time.sleep(0.05)
        else:
            raise SystemExit(f"{command[0]} did not listen on {port}")
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def nginx(root: Path, name: str, server: str) -> list[str]:
    (root / f"{name}.conf").write_text(NGINX.format(root=root, name=name, server=server))
    return ["nginx", "-e", str(root / f"{name}.err"), "-p", str(root), "-c", str(root / f"{name}.conf")]


VARIED = """
local number = 0
function request() number = number + 1; return wrk.format("GET", "/api/v1/items/" .. number) end
"""


def load(port: int, token: str, seconds: float, connections: int, script: Path | None = None) -> dict[str, float]:
    """One wrk run: requests a second and the latency distribution. With `script` each request is what the script says."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", f"Authorization: Bearer {token}"]
    for header in ("User-Agent: bench/1", "Accept: application/json", "Accept-Encoding: gzip", "X-Client: bench"):
        command += ["-H", header]
    if script is not None:
        command += ["-s", str(script)]
    out = subprocess.run(
        ["taskset", "-c", "1", *command, f"http://127.0.0.1:{port}/api/v1/items/17"], capture_output=True, text=True, check=True
    ).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"the run was not clean:\n{out}")
    found = re.search(r"Requests/sec:\s+([0-9.]+)", out)
    p99 = re.search(r"99%\s+([0-9.]+)(us|ms|s)", out)
    if found is None or p99 is None:
        raise SystemExit(out)
    return {"rps": float(found[1]), "p99_ms": float(p99[1]) * {"us": 0.001, "ms": 1, "s": 1000}[p99[2]]}


def tree(pid: int) -> list[int]:
    """A process and its descendants: taskset becomes the command itself, nginx has a worker."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += tree(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    ticks = 0
    for each in tree(pid):
        parts = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(parts[11]) + int(parts[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return int(found[1]) / 1024 if found else 0.0


def prepare(root: Path, ports: dict[str, int]) -> str:
    """Write the configuration and mint a token."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    (root / "jwks.json").write_text(json.dumps({"keys": [{**public, "kid": "k1", "alg": "RS256", "use": "sig"}]}))
    (root / "payload").write_text(PAYLOAD)
    (root / "policies").mkdir()
    (root / "policies" / "items.yaml").write_text(POLICY)
    (root / "policies" / "roles.yaml").write_text(ROLES)
    (root / "config.yaml").write_text(CONFIG.format(**ports))
    claims = {"iss": "https://idp.example.com/", "aud": "bench", "sub": "alice", "exp": int(time.time()) + 3600, "tenant": "acme"}
    return jwt.encode({**claims, "roles": ["reader"], "scope": "openid profile"}, key, algorithm="RS256", headers={"kid": "k1"})


def measure(options: argparse.Namespace, root: Path) -> dict[str, Any]:
    ports = {"port": free_port(), "admin": free_port(), "back": free_port(), "proxy": free_port(), "otlp": 0}
    ports["otlp"] = ports["back"]
    token = prepare(root, ports)
    gateway = [sys.executable, "-m", "gateway", "serve", "--config", str(root / "config.yaml")]
    environment = {**os.environ, "BENCH_TOKEN": "bench-upstream-token-0123456789"}
    rows: dict[str, list[dict[str, float]]] = {"nginx": [], "gateway": []}
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(nginx(root, "back", UPSTREAM.format(port=ports["back"], root=root)), 1, ports["back"]))
        pids = {
            "nginx": stack.enter_context(
                running(nginx(root, "proxy", PROXY.format(port=ports["proxy"], back=ports["back"])), 0, ports["proxy"])
            ),
            "gateway": stack.enter_context(running(gateway, 0, ports["port"], env=environment, cwd=root)),
        }
        at = {"nginx": ports["proxy"], "gateway": ports["port"]}
        script = None
        if options.varied:
            script = root / "varied.lua"
            script.write_text(VARIED)
        for name in rows:
            load(at[name], token, 1, options.connections, script)
        for _ in range(options.rounds):
            for name, results in rows.items():
                before = cpu_seconds(pids[name])
                result = load(at[name], token, options.seconds, options.connections, script)
                result["cpu_us"] = (cpu_seconds(pids[name]) - before) / (result["rps"] * options.seconds) * 1e6
                results.append(result)
        rss = resident_mb(pids["gateway"])
    ratios = [ours["rps"] / theirs["rps"] for ours, theirs in zip(rows["gateway"], rows["nginx"], strict=True)]
    cpu = [theirs["cpu_us"] / ours["cpu_us"] for ours, theirs in zip(rows["gateway"], rows["nginx"], strict=True)]
    return {"rows": rows, "ratio": statistics.median(ratios), "cpu_ratio": statistics.median(cpu), "rss_mb": rss}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--varied", action="store_true", help="each request for another item, not all for the same")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for tool in ("nginx", "wrk", "taskset"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is missing: apt-get install nginx wrk util-linux")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        found = measure(options, Path(folder))
    if options.json:
        print(json.dumps(found))
        return
    for name, results in found["rows"].items():
        for result in results:
            print(f"{name:8s} {result['rps']:9.0f} req/s  {result['cpu_us']:6.1f} us CPU/req  p99 {result['p99_ms']:.2f} ms")
    print(
        f"gateway / nginx: throughput {found['ratio']:.3f}, CPU {found['cpu_ratio']:.3f}; gateway resident {found['rss_mb']:.0f} MB"
    )


if __name__ == "__main__":
    main()
