"""Pages of the documentation that are played: their configuration in front of stand-ins, their commands typed as a reader would."""

import asyncio
import json
import os
import re
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.core.secret import Secret
from gateway.credentials.vault.keys import LocalKey
from gateway.credentials.vault.place import entry
from gateway.credentials.vault.ring import Ring

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SEALED = re.compile(r"\{sealed: ([\w-]+)\}")
KEY_ID = re.compile(r"\{id: ([\w-]+), env: GATEWAY_VAULT_KEY\}")
ANYTHING = "…"
ADDRESS = "http://127.0.0.1:8080"
ENDPOINTS = {
    "azure": {"authority": ""},
    "google_service_account": {"token_url": "/token"},
    "google_federation": {"sts_url": "/v1/token", "iam_url": "/v1"},
    "openai": {"token_url": "/oauth/token"},
    "anthropic": {"token_url": "/v1/oauth/token"},
    "github_app": {"api": ""},
    "client_credentials": {"token_url": "/oauth/token"},
}
"""Where each kind asks for tokens: keys of the configuration, and their paths at the stand-in for all of them."""


def blocks(text: str, *languages: str) -> list[str]:
    return [block for language, block in FENCE.findall(text) if language in languages]


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def secret(name: str) -> str:
    """What is sealed under a name: long enough for every use, and a key where one must be."""
    match name:
        case "identity-key":
            return pem(ec.generate_private_key(ec.SECP256R1()))
        case "github-app-key":
            return pem(rsa.generate_private_key(65537, 2048))
        case "google-key":
            account = {"type": "service_account", "client_email": "gw@example.iam.gserviceaccount.com", "private_key_id": "k"}
            return json.dumps(account | {"private_key": secret("github-app-key")})
        case _:
            return f"canary-{name}-k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u"


def sealed(configuration: str, vault_key: str, given: Mapping[str, str] | None = None) -> str:
    """A configuration with what its `{sealed: NAME}` refer to, as `gateway secrets seal` leaves it; `given` instead of `secret`."""
    found = KEY_ID.search(configuration)
    names = dict.fromkeys(SEALED.findall(configuration))
    if found is None or not names:
        return configuration
    ring = Ring([LocalKey(found[1], Secret(vault_key.encode()))], time.time)
    values = {name: Secret((given or {}).get(name, secret(name)).encode()) for name in names}
    return configuration + "\nsealed:\n" + "".join(f"  {name}: {ring.seal(entry(name), values[name])}\n" for name in names)


def beside(document: dict[str, Any], ports: Mapping[str, int], mint: str, ca: Path) -> dict[str, Any]:
    """The same configuration on this machine: free ports, and stand-ins in the place of each upstream's host and of who mints."""
    document |= {"listen": {"address": "127.0.0.1:0"}, "admin": {"address": "127.0.0.1:0"}, "audit": {"file": "audit.jsonl"}}
    for upstream in document["upstreams"].values():
        url = urlsplit(upstream["url"])
        scheme = "https" if "tls" in upstream else "http"
        upstream["url"] = f"{scheme}://127.0.0.1:{ports[url.netloc]}{url.path}"
        upstream |= {"allow_plaintext": True, "allow_private": True}
    for credential in document["credentials"].values():
        if paths := ENDPOINTS.get(credential["inject"]):
            credential |= {key: mint + path for key, path in paths.items()}
            credential["dial"] = {"ca": str(ca), "allow_private": True}
    return document


def laid(over: dict[str, Any], under: dict[str, Any]) -> dict[str, Any]:
    """A configuration with a piece laid over it, as a second `--config` file would be: null takes a key away."""
    both = {name: laid(value, under[name]) if isinstance(value, dict) and name in under else value for name, value in over.items()}
    return {name: value for name, value in (under | both).items() if value is not None}


def entries(text: str) -> list[tuple[str, str]]:
    """Each command of a page's ```console blocks with what the page says it prints."""
    typed = [part for block in blocks(text, "console") for part in re.split(r"^\$ ", block, flags=re.MULTILINE) if part]
    return [(command, output) for command, _, output in (part.partition("\n") for part in typed)]


async def printed(command: str, address: str, folder: Path, environ: Mapping[str, str]) -> str:
    """What a command of a page prints, its address changed to `address`."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        command.replace(ADDRESS, address),
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
    return out.decode()


def fits(shown: str, output: str) -> bool:
    """Whether a page shows this output, where `…` stands for anything."""
    pattern = ".*".join(re.escape(part) for part in shown.replace("\r", "").strip().split(ANYTHING))
    return re.fullmatch(pattern, output.replace("\r", "").strip(), re.DOTALL) is not None
