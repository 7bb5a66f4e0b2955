"""Node's http-proxy as a bare reverse proxy, with an agent that keeps upstream connections."""

import json
from pathlib import Path

from bench.contenders.contender import Contender, Setup
from bench.contenders.place import beneath
from bench.process import Launch, NotStarted
from bench.site import Site

SCRIPT = """
const http = require('http');
const agent = new http.Agent({ keepAlive: true, maxSockets: 256, maxFreeSockets: 256 });
const proxy = require('http-proxy').createProxyServer({ target: process.argv[2], agent });
proxy.on('error', (error, request, response) => { if (response.writeHead) { response.writeHead(502); } response.end(); });
const server = http.createServer((request, response) => proxy.web(request, response));
server.keepAliveTimeout = 3600000;
server.listen(Number(process.argv[3]), '127.0.0.1', 8192);
"""


def launch(site: Site, setup: Setup, folder: Path, port: int) -> Launch:
    if not package().exists():
        raise NotStarted("the package http-proxy is not installed: run `make bench`")
    (folder / "proxy.cjs").write_text(SCRIPT)
    command = ("node", "--no-deprecation", str(folder / "proxy.cjs"), f"http://127.0.0.1:{site.back}", str(port))
    return Launch(command, {"NODE_PATH": str(beneath("node") / "node_modules")})


def package() -> Path:
    return beneath("node") / "node_modules" / "http-proxy" / "package.json"


def version() -> str:
    return str(json.loads(package().read_text())["version"])


NODE_HTTP_PROXY = Contender("node http-proxy", launch, version)
