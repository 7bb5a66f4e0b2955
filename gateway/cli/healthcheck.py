"""`gateway healthcheck`: readiness as an exit code, for containers without curl."""

import http.client
import socket
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import Config, EnvFile
from gateway.config.address import Address, parse_address
from gateway.core.errors import ConfigError
from gateway.settings import load

PATH = "/readyz"


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def healthcheck(
    config: Config = None,
    env_file: EnvFile = None,
    address: Annotated[str, typer.Option(help="The admin listener; without it the configuration's.")] = "",
    timeout: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds.")] = 3.0,
) -> None:
    """Ask the admin listener whether the gateway is ready. Exit 0: it is; 1: it is not, or does not answer."""
    place = parse_address(address) if address else admin_address(config, env_file)
    try:
        status = ask(place, timeout)
    except OSError as error:
        print(f"not ready: {place}: {error.strerror or error}")
        raise typer.Exit(1) from error
    print("ready" if status == 200 else f"not ready: {status}")
    raise typer.Exit(0 if status == 200 else 1)


def admin_address(config: list[Path] | None, env_file: list[Path] | None) -> Address:
    """Where the configuration puts the admin listener. Raises ConfigError."""
    loaded = load(config or [], env_file or [])
    if loaded.settings is None:
        raise ConfigError(loaded.problems)
    return parse_address(loaded.settings.admin.address)


def connected(place: Address, timeout: float) -> http.client.HTTPConnection:
    """What asks the admin listener; nothing is sent yet."""
    if place.is_unix:
        return UnixConnection(place.path, timeout)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(place.host, place.host)
    return http.client.HTTPConnection(host, place.port, timeout=timeout)


def ask(place: Address, timeout: float) -> int:
    """The status of /readyz. Raises OSError."""
    connection = connected(place, timeout)
    try:
        connection.request("GET", PATH)
        return connection.getresponse().status
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer ({type(error).__name__})") from error
    finally:
        connection.close()
