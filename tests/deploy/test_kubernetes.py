"""The Kubernetes manifests: valid, restricted, drained in time, and reachable by one way only."""

from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.manifests import ALL, EDGE, KUBERNETES, SIDECAR, Manifest, containers, one, pods

PODS = [pytest.param(pod, id=name) for name, pod in pods(ALL)]
VARIANTS = [pytest.param(EDGE, "gateway", id="edge"), pytest.param(SIDECAR, "tool-api", id="sidecar")]
OLDEST = "1.30"


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("manifest", ALL, ids=lambda manifest: manifest.id)
def test_every_manifest_fits_the_schema_of_its_kind(manifest: Manifest, version: str) -> None:
    kubernetes_validate.validate(manifest.body, version, strict=True)


def test_the_schema_check_can_fail() -> None:
    """A guard on the guard: an unknown field is found."""
    broken = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, OLDEST, strict=True)


@pytest.mark.parametrize("variant", ["edge", "sidecar"])
def test_kustomization_names_files_that_exist_and_leaves_out_only_the_optional_ones(variant: str) -> None:
    folder = KUBERNETES / variant
    resources = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    others = {file.name for file in folder.glob("*.yaml")} - {"kustomization.yaml", *resources}
    assert all((folder / name).is_file() for name in resources)
    assert all((folder / name).read_text().startswith("# Optional: not in kustomization.yaml") for name in others)


@pytest.mark.parametrize("manifests", [pytest.param(EDGE, id="edge"), pytest.param(SIDECAR, id="sidecar")])
def test_the_namespace_enforces_restricted_pod_security(manifests: list[Manifest]) -> None:
    (namespace,) = [manifest.body for manifest in manifests if manifest.kind == "Namespace"]
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {manifest.body["metadata"]["namespace"] for manifest in manifests if manifest.kind != "Namespace"} == {
        namespace["metadata"]["name"]
    }


@pytest.mark.parametrize("pod", PODS)
def test_every_pod_meets_the_restricted_standard(pod: dict[str, Any]) -> None:
    """Pod Security Standards, profile restricted, and our own read-only root file system."""
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]} <= {"configMap", "secret", "emptyDir"}
    for container in containers(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert all("hostPort" not in port for port in container.get("ports", []))


@pytest.mark.parametrize("pod", PODS)
def test_no_pod_can_speak_to_the_clusters_api(pod: dict[str, Any]) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    account = one(ALL, "ServiceAccount", pod["serviceAccountName"])
    assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("pod", PODS)
def test_every_container_has_bounds_and_a_fixed_version(pod: dict[str, Any]) -> None:
    for container in containers(pod):
        assert container["resources"]["requests"].keys() == container["resources"]["limits"].keys() == {"cpu", "memory"}
        tag = container["image"].rpartition(":")[2]
        assert tag not in ("latest", container["image"])


@pytest.mark.parametrize("pod", PODS)
def test_secrets_come_as_files_and_never_in_the_environment(pod: dict[str, Any]) -> None:
    for container in containers(pod):
        assert "envFrom" not in container
        variables = [variable for variable in container.get("env", []) if "value" not in variable]
        assert all(variable["valueFrom"].keys() == {"fieldRef"} for variable in variables)
    assert all(volume["secret"]["defaultMode"] == 0o440 for volume in pod["volumes"] if "secret" in volume)


def test_no_manifest_carries_a_secret() -> None:
    assert not [manifest.id for manifest in ALL if manifest.kind == "Secret"]


@pytest.mark.parametrize(("manifests", "deployment"), VARIANTS)
def test_the_pod_outlives_its_drain(manifests: list[Manifest], deployment: str) -> None:
    pod = one(manifests, "Deployment", deployment)["spec"]["template"]["spec"]
    drain = config(manifests)["listen"]["drain"]
    seconds = sum(int(drain[name].removesuffix("s")) for name in ("delay", "timeout"))
    assert int(drain["delay"].removesuffix("s")) >= 5, "endpoints need time to be withdrawn"
    assert pod["terminationGracePeriodSeconds"] >= seconds + 10


@pytest.mark.parametrize(("manifests", "deployment"), VARIANTS)
def test_probes_ask_the_admin_port_and_ports_agree_with_the_configuration(manifests: list[Manifest], deployment: str) -> None:
    gateway = gateway_container(manifests, deployment)
    ports = {port["name"]: port["containerPort"] for port in gateway["ports"]}
    settings = config(manifests)
    assert settings["listen"]["address"].rpartition(":")[2] == str(ports["https"])
    assert settings["admin"]["address"].rpartition(":")[2] == str(ports["admin"])
    assert gateway["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "admin"}
    assert gateway["readinessProbe"]["httpGet"] == gateway["startupProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}


@pytest.mark.parametrize(("manifests", "deployment"), VARIANTS)
def test_what_the_configuration_reads_is_mounted(manifests: list[Manifest], deployment: str) -> None:
    mounts = [mount["mountPath"] for mount in gateway_container(manifests, deployment)["volumeMounts"]]
    files = [value for value in strings(config(manifests)) if value.startswith("/run/")]
    assert files
    assert all(any(file.startswith(f"{mount}/") for mount in mounts) for file in files)


@pytest.mark.parametrize(("manifests", "deployment"), VARIANTS)
def test_the_service_and_the_budget_select_the_pods(manifests: list[Manifest], deployment: str) -> None:
    labels = one(manifests, "Deployment", deployment)["spec"]["template"]["metadata"]["labels"]
    service = one(manifests, "Service", deployment)["spec"]
    budget = one(manifests, "PodDisruptionBudget", deployment)["spec"]
    assert service["selector"].items() <= labels.items()
    assert [port["targetPort"] for port in service["ports"]] == ["https"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    assert budget["maxUnavailable"] == 1


def test_edge_replicas_spread_over_nodes_and_zones() -> None:
    pod = one(EDGE, "Deployment", "gateway")["spec"]["template"]["spec"]
    keys = {constraint["topologyKey"] for constraint in pod["topologySpreadConstraints"]}
    assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}


@pytest.mark.parametrize(("manifests", "deployment"), VARIANTS)
def test_only_pods_labelled_api_gateway_reach_the_data_port_and_nothing_else_is_open(
    manifests: list[Manifest], deployment: str
) -> None:
    policy = one(manifests, "NetworkPolicy", deployment)["spec"]
    labels = one(manifests, "Deployment", deployment)["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert sorted(policy["policyTypes"]) == ["Egress", "Ingress"]
    (rule,) = policy["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8443}]
    assert rule["from"] == [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"role": "api-gateway"}}}]


@pytest.mark.parametrize(("manifests", "deployment"), VARIANTS)
def test_everything_else_in_the_namespace_is_closed(manifests: list[Manifest], deployment: str) -> None:
    policy = one(manifests, "NetworkPolicy", "default-deny")["spec"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_edge_egress_is_redis_dns_https_and_otlp() -> None:
    rules = one(EDGE, "NetworkPolicy", "gateway")["spec"]["egress"]
    ports = {(port["protocol"], port["port"]) for rule in rules for port in rule["ports"]}
    assert ports == {("TCP", 6379), ("UDP", 53), ("TCP", 53), ("TCP", 443), ("TCP", 4318)}
    assert all(rule["to"] for rule in rules), "a rule without `to` is open to everybody"


def test_edge_https_egress_leaves_out_private_and_metadata_addresses() -> None:
    rules = one(EDGE, "NetworkPolicy", "gateway")["spec"]["egress"]
    (https,) = [rule for rule in rules if {"protocol": "TCP", "port": 443} in rule["ports"]]
    blocks = [peer["ipBlock"] for peer in https["to"]]
    assert len(blocks) == len(https["to"])
    (everything,) = [block for block in blocks if block["cidr"] == "0.0.0.0/0"]
    assert {"10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"} <= set(everything["except"])


def test_edge_egress_ports_cover_what_the_configuration_calls() -> None:
    rules = one(EDGE, "NetworkPolicy", "gateway")["spec"]["egress"]
    open_ports = {port["port"] for rule in rules for port in rule["ports"]}
    called = {port(value) for value in strings(config(EDGE)) if "://" in value and not value.startswith("spiffe")}
    assert called <= open_ports


def test_the_sidecar_is_native_and_the_api_behind_it_hides_on_loopback() -> None:
    pod = one(SIDECAR, "Deployment", "tool-api")["spec"]["template"]["spec"]
    (gateway,) = pod["initContainers"]
    (api,) = pod["containers"]
    assert gateway["restartPolicy"] == "Always"
    assert "ports" not in api
    assert config(SIDECAR)["upstreams"]["tool-api"]["url"] == "http://127.0.0.1:9000"
    assert {"name": "LISTEN", "value": "127.0.0.1:9000"} in api["env"]


def config(manifests: list[Manifest]) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(one(manifests, "ConfigMap", "gateway-config")["data"]["config.yaml"])
    return loaded


def gateway_container(manifests: list[Manifest], deployment: str) -> dict[str, Any]:
    pod = one(manifests, "Deployment", deployment)["spec"]["template"]["spec"]
    (found,) = [container for container in containers(pod) if container["name"] == "gateway"]
    return found


def strings(node: Any) -> list[str]:
    match node:
        case str():
            return [node]
        case dict():
            return [text for value in node.values() for text in strings(value)]
        case list():
            return [text for value in node for text in strings(value)]
        case _:
            return []


def port(url: str) -> int:
    scheme, _, rest = url.partition("://")
    _, _, number = rest.partition("/")[0].partition(":")
    return int(number) if number else {"https": 443, "http": 80}[scheme]
