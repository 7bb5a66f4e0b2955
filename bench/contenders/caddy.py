"""Caddy as a bare reverse proxy. Its pool of idle upstream connections is raised above the load's, or it would reconnect."""

import re
import subprocess
from pathlib import Path

from bench.contenders.contender import Contender, Setup
from bench.process import Launch
from bench.site import Site

CONFIG = """
{{
  admin off
  auto_https off
}}
http://127.0.0.1:{port} {{
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:{site.back} {{
    transport http {{
      keepalive_idle_conns_per_host 256
      keepalive_idle_conns 512
    }}
  }}
}}
"""


def launch(site: Site, setup: Setup, folder: Path, port: int) -> Launch:
    (folder / "Caddyfile").write_text(CONFIG.format(site=site, port=port))
    home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder), "GOMAXPROCS": "1"}
    return Launch(("caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")), home)


def version() -> str:
    said = subprocess.run(["caddy", "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d[\d.]+", said)
    return found[0] if found else "unknown"


CADDY = Contender("caddy", launch, version)
