"""The files under deploy/, read once, as the tests look at them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"


@dataclass(frozen=True)
class Manifest:
    """One document of one file."""

    file: Path
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.body["kind"])

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def id(self) -> str:
        return f"{self.file.parent.name}/{self.file.stem}/{self.kind}/{self.body.get('metadata', {}).get('name', '')}"


def load(variant: str) -> list[Manifest]:
    """Every Kubernetes object of one variant, optional ones too, without the kustomization."""
    files = sorted((KUBERNETES / variant).glob("*.yaml"))
    return [
        Manifest(file, body) for file in files if file.name != "kustomization.yaml" for body in yaml.safe_load_all(file.read_text())
    ]


EDGE = load("edge")
SIDECAR = load("sidecar")
ALL = EDGE + SIDECAR


def one(manifests: list[Manifest], kind: str, name: str) -> dict[str, Any]:
    """The one object of that kind and name."""
    (found,) = [manifest.body for manifest in manifests if (manifest.kind, manifest.name) == (kind, name)]
    return found


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The pod specifications of all workloads."""
    for manifest in manifests:
        if manifest.kind == "Deployment":
            yield manifest.id, manifest.body["spec"]["template"]["spec"]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """All containers of a pod, initial ones too."""
    return [*pod.get("initContainers", []), *pod["containers"]]
