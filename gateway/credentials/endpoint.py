"""A token endpoint as we speak with it: one POST, one token. Where it is stands in the configuration and nowhere else."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import orjson

from gateway.core.ports import Fetch, Fetched
from gateway.credentials.answer import MAX_BYTES, granted
from gateway.credentials.client import Proof, Prove, nobody
from gateway.credentials.oauth_model import Endpoint
from gateway.credentials.token import Fresh

SECONDS: Final = 10.0
FORM: Final = "application/x-www-form-urlencoded"
Parameters = Iterable[tuple[str, str]]


class TokenEndpoint:
    """One URL of a configuration, and how the gateway proves there who it is."""

    def __init__(self, url: str, model: Endpoint, fetch: Fetch, prove: Prove = nobody) -> None:
        self.url = url
        self.host = urlsplit(url).netloc
        self._dial = model.dial
        self._fetch = fetch
        self._prove = prove

    async def ask(self, parameters: Parameters, refusals: Collection[str] = ()) -> Fresh:
        """The token for these parameters (RFC 6749 3.2). Raises DependencyDown and, for error codes in `refusals`, Ungranted."""
        return granted(await self.form(parameters), self.host, refusals)

    async def form(self, parameters: Parameters) -> Fetched:
        proof = self._prove()
        body = urlencode([*parameters, *proof.parameters]).encode("ascii")
        return await self._post(body, FORM, proof)

    async def json(self, members: Mapping[str, Any], headers: Mapping[str, str] | None = None, path: str = "") -> Fetched:
        """The same with a JSON document; `path` is added to the URL."""
        proof = self._prove()
        proof = proof._replace(headers={**proof.headers, **(headers or {})})
        return await self._post(orjson.dumps(members), "application/json", proof, path)

    async def _post(self, body: bytes, kind: str, proof: Proof, path: str = "") -> Fetched:
        dial = self._dial
        return await self._fetch.post(
            self.url + path,
            body=body,
            content_type=kind,
            headers=proof.headers,
            limit=MAX_BYTES,
            timeout=SECONDS,
            allow_plaintext=dial.allow_plaintext,
            allow_private=dial.allow_private,
            ca=str(dial.ca) if dial.ca is not None else None,
            identity=proof.identity,
        )
