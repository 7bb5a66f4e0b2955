"""mitmproxy in its reverse mode, printing nothing."""

from pathlib import Path

from bench.contenders.contender import Contender, Setup
from bench.contenders.place import command, distribution
from bench.process import Launch
from bench.site import Site


def launch(site: Site, setup: Setup, folder: Path, port: int) -> Launch:
    mode = ("--mode", f"reverse:http://127.0.0.1:{site.back}", "--listen-host", "127.0.0.1", "--listen-port", str(port))
    return Launch((command("mitmproxy", "mitmdump"), "-q", "--set", f"confdir={folder}", *mode))


MITMPROXY = Contender("mitmproxy", launch, lambda: distribution("mitmproxy", "mitmproxy"), least=3.0)
