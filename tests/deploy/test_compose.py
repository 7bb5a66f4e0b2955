"""The compose file: only keys the Compose Specification knows, pinned images, hardened containers, secrets as files."""

import re
import subprocess
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from tests.deploy.manifests import DEPLOY

COMPOSE = DEPLOY / "compose.yaml"
PINNED = re.compile(r"[a-z0-9./-]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}")
OURS = "latchgate:dev"


class Strict(BaseModel):
    """A part of the Compose Specification, as far as we use it."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Build(Strict):
    context: str
    target: str


class Healthcheck(Strict):
    disable: bool = False
    test: list[str] | None = None
    interval: str | None = None
    timeout: str | None = None
    retries: int | None = None


class Condition(Strict):
    condition: Literal["service_started", "service_healthy", "service_completed_successfully"]


class Logging(Strict):
    driver: str
    options: dict[str, str]


class Service(Strict):
    image: str
    build: Build | None = None
    user: Annotated[str, Field(pattern=r"^[1-9][0-9]*:[1-9][0-9]*$")]
    entrypoint: list[str] | None = None
    command: list[str]
    ports: list[str] = []
    volumes: list[str] = []
    secrets: list[str] = []
    tmpfs: list[str] = []
    mem_limit: str | None = None
    pids_limit: int | None = None
    stop_grace_period: str | None = None
    depends_on: list[str] | dict[str, Condition] = []
    network_mode: str | None = None
    profiles: list[str] = []
    restart: str
    healthcheck: Healthcheck | None = None
    read_only: Literal[True]
    cap_drop: list[Literal["ALL"]]
    security_opt: list[Literal["no-new-privileges:true"]]
    logging: Logging


class SecretFile(Strict):
    file: str


class Compose(Strict):
    name: str
    services: dict[str, Service]
    secrets: dict[str, SecretFile]


def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return {key: value for key, value in loaded.items() if not key.startswith("x-")}


@pytest.fixture(scope="module")
def compose() -> Compose:
    return Compose.model_validate(document())


def test_an_unknown_key_is_found() -> None:
    """A guard on the guard."""
    broken = document()
    broken["services"]["gateway"]["privileged"] = True
    with pytest.raises(ValueError, match="privileged"):
        Compose.model_validate(broken)


def test_foreign_images_are_pinned_by_version_and_digest(compose: Compose) -> None:
    foreign = {service.image for service in compose.services.values() if service.image != OURS}
    assert len(foreign) == 2
    assert all(PINNED.fullmatch(image) for image in foreign)
    assert compose.services["gateway"].build is not None


def test_the_service_names_what_it_depends_on_and_the_secrets_it_reads(compose: Compose) -> None:
    for service in compose.services.values():
        assert set(service.depends_on) <= compose.services.keys()
        assert set(service.secrets) <= compose.secrets.keys()
        if service.network_mode and service.network_mode.startswith("service:"):
            assert service.network_mode.removeprefix("service:") in compose.services


def test_only_the_gateway_is_published_and_only_on_loopback(compose: Compose) -> None:
    published = {name: service.ports for name, service in compose.services.items() if service.ports}
    assert published == {"gateway": ["127.0.0.1:8443:8443"]}


def test_the_demo_upstream_is_on_the_gateways_loopback_only(compose: Compose) -> None:
    assert compose.services["demo-upstream"].network_mode == "service:gateway"
    assert config()["upstreams"]["demo"]["url"] == "http://127.0.0.1:9000"
    (script,) = compose.services["demo-upstream"].command
    assert script.endswith("--port 9000")


def test_redis_demands_a_password_that_stands_in_no_process_list(compose: Compose) -> None:
    redis = compose.services["redis"]
    (script,) = redis.command
    assert "requirepass" in script
    assert script.endswith("exec redis-server -")
    assert "redis-password" in redis.secrets
    store = config()["rate_limits"]["store"]["redis"]
    assert store["password"] == {"file": "/run/secrets/redis-password"}


def test_writable_mounts_are_the_key_file_of_the_operators_container(compose: Compose) -> None:
    writable = {
        name: [volume for volume in service.volumes if not volume.endswith(":ro")] for name, service in compose.services.items()
    }
    assert {name: found for name, found in writable.items() if found} == {"keys": ["./compose/keys:/var/lib/gateway"]}


def test_every_mounted_file_and_secret_exists_or_is_made_by_the_script(compose: Compose) -> None:
    script = (DEPLOY / "compose" / "make-secrets.sh").read_text()
    for service in compose.services.values():
        for volume in service.volumes:
            source = volume.partition(":")[0]
            assert (DEPLOY / source).exists() or source == "./compose/keys"
    assert all(Path(secret.file).name in script for secret in compose.secrets.values())


def test_the_configuration_reads_only_secrets_that_are_mounted(compose: Compose) -> None:
    text = (DEPLOY / "compose" / "gateway" / "config.yaml").read_text()
    named = set(re.findall(r"/run/secrets/([a-z.-]+)", text.partition("version: 1")[2]))
    assert named == set(compose.services["gateway"].secrets)


def test_the_grace_period_is_longer_than_the_drain(compose: Compose) -> None:
    drain = config()["listen"]["drain"]
    grace = compose.services["gateway"].stop_grace_period or "10s"
    assert int(grace.removesuffix("s")) > sum(int(value.removesuffix("s")) for value in drain.values())


def test_the_collector_receives_where_the_gateway_sends() -> None:
    collector = yaml.safe_load((DEPLOY / "compose" / "otel-collector.yaml").read_text())
    endpoint = collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert config()["telemetry"]["traces"]["otlp"].rpartition(":")[2] == endpoint.rpartition(":")[2]
    for pipeline in collector["service"]["pipelines"].values():
        for part in ("receivers", "processors", "exporters"):
            assert set(pipeline[part]) <= collector[part].keys()


def test_the_script_makes_a_certificate_for_localhost_and_keeps_what_exists(tmp_path: Path) -> None:
    script = tmp_path / "make-secrets.sh"
    script.write_text((DEPLOY / "compose" / "make-secrets.sh").read_text())
    subprocess.run(["bash", script], check=True, timeout=60)
    first = {file.name: file.read_bytes() for file in (tmp_path / "secrets").iterdir()}
    subprocess.run(["bash", script], check=True, timeout=60)
    assert {file.name: file.read_bytes() for file in (tmp_path / "secrets").iterdir()} == first
    assert {"tls.crt", "tls.key", "redis-password", "key-pepper", "demo-token"} == first.keys()
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert all(len(first[name]) >= 40 for name in ("redis-password", "key-pepper", "demo-token"))


def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "gateway" / "config.yaml").read_text())
    return loaded
