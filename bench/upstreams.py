"""The upstreams behind every contender, on the load's core: nginx answers from memory, a small server takes uploads and sends events."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.contenders.nginx import HTTP, command
from bench.process import Launch, free_port, running
from bench.site import PAYLOAD, Site, furnish

BACK = """
  open_file_cache max=16; sendfile on; tcp_nopush on; client_max_body_size 0;
  server {{
    listen 127.0.0.1:{back} backlog=8192; listen 127.0.0.1:{back_tls} ssl backlog=8192;
    ssl_certificate {site.certificate}; ssl_certificate_key {site.key}; ssl_protocols TLSv1.3;
    default_type application/json;
    location / {{ return 200 '{payload}'; }}
    location /api/v1/files/ {{ root {site.root}/www; }}
  }}
"""


@contextlib.contextmanager
def upstreams(root: Path, core: frozenset[int]) -> Iterator[Site]:
    """Everything that contenders are placed in front of, running. Raises NotStarted."""
    ports = {name: free_port() for name in ("back", "back_tls", "stream", "redis")}
    site = furnish(root, ports)
    redis = ("redis-server", "--port", str(site.redis), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    stream = (sys.executable, "-m", "bench.stream", str(site.stream))
    started = {
        site.back: command(folder(root, "back"), HTTP + BACK.format(site=site, payload=PAYLOAD, **ports)),
        site.redis: Launch(redis),
        site.stream: Launch(stream, {"PYTHONPATH": str(Path(__file__).parents[1])}),
    }
    with contextlib.ExitStack() as stack:
        for name, (port, launch) in zip(("back", "redis", "stream"), started.items(), strict=True):
            stack.enter_context(running(launch, core, port, folder(root, name)))
        yield site


def folder(root: Path, name: str) -> Path:
    path = root / name
    path.mkdir(exist_ok=True)
    return path
