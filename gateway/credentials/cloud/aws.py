"""Services of AWS that speak JSON 1.1, and the security token service: POST / signed by Signature Version 4.

docs.aws.amazon.com/kms/latest/APIReference, docs.aws.amazon.com/secretsmanager/latest/apireference
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import orjson

from gateway.core.ports import Fetch, Fetched
from gateway.credentials import sigv4
from gateway.credentials.answer import object_of
from gateway.credentials.cloud.model import Aws
from gateway.credentials.oauth_model import Dial
from gateway.credentials.sigv4_keys import AwsKeys

SECONDS: Final = 5.0
JSON: Final = "application/x-amz-json-1.1"
Keys = Callable[[Fetch], Awaitable[AwsKeys]]
"""The keys to sign with now. Raises DependencyDown."""


class Place(NamedTuple):
    """Where a service is, and for which region and service its signatures count."""

    url: str
    region: str
    service: str
    dial: Dial

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


def placed(model: Aws, service: str) -> Place:
    return Place((model.url or address(service, model.region)).rstrip("/"), model.region, service, model.dial)


def address(service: str, region: str) -> str:
    """A service's own address in a region."""
    suffix = ".cn" if region.startswith("cn-") else ""
    return f"https://{service}.{region}.amazonaws.com{suffix}"


class AwsService:
    """One service, asked with our keys."""

    def __init__(self, place: Place, keys: Keys, now: Callable[[], float]) -> None:
        self.host = place.host
        self._place = place
        self._keys = keys
        self._now = now

    async def ask(self, fetch: Fetch, action: str, members: Mapping[str, Any], *, limit: int) -> Fetched:
        """The answer to one action, `Service.Action`. Raises DependencyDown."""
        headers = {"x-amz-target": action}
        keys = await self._keys(fetch)
        return await signed_post(fetch, self._place, keys, self._now(), orjson.dumps(members), JSON, headers, limit)


async def signed_post(
    fetch: Fetch,
    place: Place,
    keys: AwsKeys,
    now: float,
    body: bytes,
    content_type: str,
    headers: Mapping[str, str],
    limit: int,
) -> Fetched:
    """POST to the root of a service. Raises DependencyDown."""
    payload = sha256(body).hexdigest()
    question = Question("POST", place, b"/", {**headers, "content-type": content_type}, payload.encode("ascii"))
    said = signed(question, keys, now)
    del said["content-type"]
    return await sent(fetch, place, body, content_type, said, limit)


class Question(NamedTuple):
    """What is signed of a request of the gateway's own. `payload` is the hash of its body, `once` says that it is for Amazon S3."""

    method: str
    place: Place
    target: bytes
    headers: Mapping[str, str]
    payload: bytes
    once: bool = False


def signed(question: Question, keys: AwsKeys, now: float) -> dict[str, str]:
    """Its header fields with the signature over all of them, and without Host."""
    place, date = question.place, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    scope = sigv4.Scope(date.encode("ascii"), place.region.encode("ascii"), place.service.encode("ascii"))
    said = {**question.headers, "x-amz-date": date, "x-amz-content-sha256": question.payload.decode("ascii")}
    if keys.token:
        said["x-amz-security-token"] = keys.token.decode("ascii")
    fields = [(name.encode("ascii"), value.encode("ascii")) for name, value in {**said, "host": host_field(place.url)}.items()]
    method = question.method.encode("ascii")
    request = sigv4.canonical(method, question.target, fields, question.payload, once=question.once)
    made = sigv4.signature(sigv4.signing_key(keys.secret.reveal(), scope), sigv4.string_to_sign(scope, request.text))
    said["authorization"] = sigv4.authorization(keys.id, scope, request.names, made).decode("ascii")
    return said


async def sent(fetch: Fetch, place: Place, body: bytes, content_type: str, headers: Mapping[str, str], limit: int) -> Fetched:
    dial = place.dial
    return await fetch.post(
        place.url + "/",
        body=body,
        content_type=content_type,
        headers=headers,
        limit=limit,
        timeout=SECONDS,
        allow_plaintext=dial.allow_plaintext,
        allow_private=dial.allow_private,
        ca=str(dial.ca) if dial.ca is not None else None,
    )


def fault(answer: Fetched, known: frozenset[str]) -> str:
    """The name of the error in an answer, where it is one of those `known`: else a service could say anything through us."""
    told = (object_of(answer.body) or {}).get("__type")
    name = told.rpartition("#")[2] if isinstance(told, str) else ""
    return name if name in known else ""


def host_field(url: str) -> str:
    """What goes out as Host: the port only where it is not the scheme's own."""
    parts = urlsplit(url)
    usual = {"https": 443, "http": 80}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"
