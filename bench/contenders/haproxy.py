"""HAProxy as a bare reverse proxy, one thread."""

import re
import subprocess
from pathlib import Path

from bench.contenders.contender import Contender, Setup
from bench.process import Launch
from bench.site import Site

CONFIG = """
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
  option http-no-delay
  http-reuse always
frontend all
  bind 127.0.0.1:{port}
  use_backend stream if {{ path_beg /api/v1/stream/ }}
  default_backend back
backend back
  server back 127.0.0.1:{site.back} pool-max-conn 256
backend stream
  server stream 127.0.0.1:{site.stream} pool-max-conn 256
"""


def launch(site: Site, setup: Setup, folder: Path, port: int) -> Launch:
    (folder / "haproxy.cfg").write_text(CONFIG.format(site=site, port=port))
    return Launch(("haproxy", "-db", "-f", str(folder / "haproxy.cfg")))


def version() -> str:
    said = subprocess.run(["haproxy", "-v"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version ([\d.]+)", said)
    return found[1] if found else "unknown"


HAPROXY = Contender("haproxy", launch, version)
