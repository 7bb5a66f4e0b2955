"""LiteLLM's proxy with a pass-through endpoint, which asks for no credential. Only with `--long`."""

import json
from pathlib import Path

from bench.contenders.contender import Contender, Setup
from bench.contenders.place import command, distribution
from bench.process import Launch
from bench.site import Site

PATH = "/api/v1/items/17"


def launch(site: Site, setup: Setup, folder: Path, port: int) -> Launch:
    endpoint = {"path": PATH, "target": f"http://127.0.0.1:{site.back}{PATH}", "auth": False, "headers": {"X-Bench": "1"}}
    general = {"master_key": "sk-bench-0123456789", "pass_through_endpoints": [endpoint]}
    (folder / "litellm.yaml").write_text(json.dumps({"model_list": [], "general_settings": general}))
    environ = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "DISABLE_ADMIN_UI": "True", "LITELLM_LOG": "ERROR"}
    options = ("--config", "litellm.yaml", "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--telemetry", "False")
    return Launch((command("litellm", "litellm"), *options), environ, startup=180)


LITELLM = Contender("LiteLLM", launch, lambda: distribution("litellm", "litellm"), setups=(), least=8.0, connections=8)
