"""The compose recipe without containers: its script, its configuration and its commands, on free ports of this machine."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from tests.deploy.manifests import DEPLOY

BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Recipe:
    """deploy/compose laid out in a folder, with the places of a container replaced by places in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.upstream, self.admin, self.closed = (free_port() for _ in range(4))
        shutil.copytree(DEPLOY / "compose" / "gateway", folder / "gateway")
        shutil.copy(DEPLOY / "compose" / "make-secrets.sh", folder)
        subprocess.run(["bash", folder / "make-secrets.sh"], check=True, timeout=60)
        self.config = folder / "gateway" / "config.yaml"
        self.config.write_text(self.here(self.config.read_text()) + f"admin: {{address: '127.0.0.1:{self.admin}'}}\n")
        self.environ = {"PATH": f"{BIN}:{os.environ['PATH']}", "GATEWAY_CONFIG": str(self.config)}

    def here(self, text: str) -> str:
        places = {
            "/run/secrets": str(self.folder / "secrets"),
            "/var/lib/gateway": str(self.folder / "keys"),
            "0.0.0.0:8443": f"127.0.0.1:{self.port}",
            "127.0.0.1:9000": f"127.0.0.1:{self.upstream}",
            "--port 9000": f"--port {self.upstream}",
            "redis:6379": f"127.0.0.1:{self.closed}",
            "otel-collector:4318": f"127.0.0.1:{self.closed}",
            "$$": "$",
        }
        for place, mine in places.items():
            text = text.replace(place, mine)
        return text

    def service(self, name: str) -> list[str]:
        """The command line of a service."""
        found = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"][name]
        return [self.here(word) for word in [*found.get("entrypoint", ["gateway"]), *found["command"]]]

    @contextmanager
    def running(self, name: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
        with subprocess.Popen(self.service(name), env=self.environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            try:
                await_port(process, port)
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()


def await_port(process: subprocess.Popen[bytes], port: int) -> None:
    """Until somebody listens; polling with a bound, because that is all a stranger to the process can do."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if process.poll() is not None:
            assert process.stderr is not None
            pytest.fail(f"ended with {process.returncode}: {process.stderr.read().decode()}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("nobody listens")


def test_the_recipe_serves_a_key_it_made_and_nobody_else(tmp_path: Path) -> None:
    """With Redis and the collector away: limits are kept locally, spans are dropped, and requests are answered all the same."""
    recipe = Recipe(tmp_path)
    made = subprocess.run(
        [*recipe.service("keys")[:-1], "create", "--name", "me", "--roles", "member"],
        env=recipe.environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    key = made.stdout.strip()
    url = f"https://localhost:{recipe.port}/projects/acme/issues"
    trusted = ssl.create_default_context(cafile=tmp_path / "secrets" / "tls.crt")
    with recipe.running("demo-upstream", recipe.upstream), recipe.running("gateway", recipe.port) as gateway:
        with httpx.Client(verify=trusted, timeout=30) as client:
            assert client.get(url).status_code == 401
            listed = client.get(url, headers={"X-Api-Key": key})
            assert listed.status_code == 200, listed.text
            assert client.post(url, headers={"X-Api-Key": key}, json={"title": "From the recipe"}).status_code == 201
            assert client.delete(url, headers={"X-Api-Key": key}).status_code == 405
            assert httpx.get(f"http://127.0.0.1:{recipe.upstream}/projects/acme/issues").status_code == 401
        health = subprocess.run([BIN / "gateway", "healthcheck"], env=recipe.environ, timeout=60)
        assert health.returncode == 0
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(40) == 0
