"""nginx as a bare reverse proxy. Answers are buffered in memory only, uploads are passed on as they come."""

import re
import subprocess
from pathlib import Path

from bench.contenders.contender import Contender, Setup
from bench.process import Launch
from bench.site import Site

HTTP = """
  access_log off; keepalive_requests 100000000; keepalive_timeout 3600s; server_tokens off;
"""
FRAME = """
worker_processes 1; worker_rlimit_nofile 20000; daemon off; pid {folder}/pid; error_log {folder}/error crit;
events {{ worker_connections 16384; }}
http {{
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  {http}
}}
"""
PROXY = """
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_max_temp_file_size 0; proxy_request_buffering off;
  client_max_body_size 0; proxy_buffers 16 16k; proxy_ssl_protocols TLSv1.3; proxy_ssl_session_reuse on;
  upstream back {{ server 127.0.0.1:{back}; keepalive 128; keepalive_requests 100000000; }}
  upstream stream {{ server 127.0.0.1:{site.stream}; keepalive 16; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port}{ssl} backlog=8192;
    location / {{ proxy_pass {scheme}://back; }}
    location /api/v1/stream/ {{ proxy_pass http://stream; }}
  }}
"""


def command(folder: Path, http: str) -> Launch:
    """nginx with this content of its http block; everything it writes goes beneath `folder`."""
    (folder / "nginx.conf").write_text(FRAME.format(folder=folder, http=http))
    return Launch(("nginx", "-e", str(folder / "error"), "-p", str(folder), "-c", str(folder / "nginx.conf")))


def launch(site: Site, setup: Setup, folder: Path, port: int) -> Launch:
    server = PROXY.format(
        site=site,
        port=port,
        ssl=" ssl" if setup.tls else "",
        back=site.back_tls if setup.tls else site.back,
        scheme="https" if setup.tls else "http",
    )
    certificate = f"ssl_certificate {site.certificate}; ssl_certificate_key {site.key}; ssl_protocols TLSv1.3;"
    return command(folder, HTTP + (certificate if setup.tls else "") + server)


def version() -> str:
    said = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"nginx/(\S+)", said)
    return found[1] if found else "unknown"


NGINX = Contender("nginx", launch, version, setups=("bare",))
