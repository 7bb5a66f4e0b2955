"""proxy.py as a reverse proxy: a plugin of six lines, in threads, which is how it stands 64 connections."""

from pathlib import Path

from bench.contenders.contender import Contender, Setup
from bench.contenders.place import command, distribution
from bench.process import Launch
from bench.site import Site

PLUGIN = """
from proxy.http.server import ReverseProxyBasePlugin

class Everything(ReverseProxyBasePlugin):
    def routes(self):
        return [r'/(.*)']
    def handle_route(self, request, pattern):
        from proxy.http import Url
        return Url.from_bytes(b'http://127.0.0.1:{port}' + request.path)
"""


def launch(site: Site, setup: Setup, folder: Path, port: int) -> Launch:
    (folder / "everything.py").write_text(PLUGIN.replace("{port}", str(site.back)))
    options = ("--hostname", "127.0.0.1", "--port", str(port), "--num-workers", "1", "--num-acceptors", "1", "--threaded")
    quiet = ("--log-level", "ERROR", "--data-dir", str(folder))
    plugin = ("--enable-reverse-proxy", "--plugins", "everything.Everything")
    return Launch((command("proxy-py", "proxy"), *options, *quiet, *plugin), {"PYTHONPATH": str(folder)})


PROXY_PY = Contender("proxy.py", launch, lambda: distribution("proxy-py", "proxy_py", "proxy.py"))
