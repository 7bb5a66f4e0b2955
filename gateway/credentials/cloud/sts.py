"""The security token service of AWS: temporary keys of a role, for our keys or for another issuer's token.

docs.aws.amazon.com/STS/latest/APIReference: AssumeRole, AssumeRoleWithWebIdentity. Its answers are XML of a fixed shape: each
element that we need stands there once and holds no markup, so nothing is parsed that could refer to anything else.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from gateway.config.values import SecretRef
from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetch, Fetched, SecretSource
from gateway.core.secret import Secret
from gateway.credentials.cloud.aws import Place, address, sent, signed_post
from gateway.credentials.cloud.model import AssumeRole
from gateway.credentials.federation import identity
from gateway.credentials.sigv4_keys import AwsKeys, KeySource

FORM: Final = "application/x-www-form-urlencoded"
VERSION: Final = "2011-06-15"
MAX_ANSWER: Final = 32 * 1024
XML: Final = {"accept": "text/xml"}
CODES: Final = frozenset(
    {
        "AccessDenied",
        "ExpiredToken",
        "ExpiredTokenException",
        "IDPCommunicationError",
        "IDPRejectedClaim",
        "InvalidClientTokenId",
        "InvalidIdentityToken",
        "MalformedPolicyDocument",
        "PackedPolicyTooLarge",
        "RegionDisabledException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "Throttling",
        "ValidationError",
    }
)
"""A closed list: what a service says besides could be what it was sent."""
Sources = Callable[[SecretRef], SecretSource]


class Role:
    """A role that is taken on. `keys` sign the question, unless another issuer's token stands for them."""

    def __init__(self, model: AssumeRole, region: str, keys: KeySource | None, secrets: Sources, now: Callable[[], float]) -> None:
        """Raises ValueError where the token cannot be had, or there is nothing to ask with."""
        self._model = model
        self._keys = keys
        self._now = now
        self._token = secrets(model.token) if model.token is not None else None
        if (keys is None) == (self._token is None):
            raise ValueError("`assume_role` is asked for with the keys beside it, or with its `token`, not with both or none")
        url = (model.sts_url or address("sts", region)).rstrip("/")
        self.place = Place(url, region, "sts", model.dial)

    async def __call__(self, fetch: Fetch) -> AwsKeys:
        """New temporary keys; `expires` says until when. Raises DependencyDown."""
        answer = await (self._by_token(fetch, self._token) if self._token is not None else self._by_keys(fetch))
        return self._understood(answer)

    async def _by_keys(self, fetch: Fetch) -> Fetched:
        if self._keys is None:
            raise DependencyDown(f"{self.place.host}: no keys to ask with")
        now = self._now()
        said = [] if self._model.external_id is None else [("ExternalId", self._model.external_id)]
        body = self._form("AssumeRole", said)
        return await signed_post(fetch, self.place, self._keys.current(now), now, body, FORM, XML, MAX_ANSWER)

    async def _by_token(self, fetch: Fetch, token: SecretSource) -> Fetched:
        body = self._form("AssumeRoleWithWebIdentity", [("WebIdentityToken", identity(token))])
        return await sent(fetch, self.place, body, FORM, XML, MAX_ANSWER)

    def _form(self, action: str, said: list[tuple[str, str]]) -> bytes:
        model = self._model
        asked = [
            ("Action", action),
            ("Version", VERSION),
            ("RoleArn", model.arn),
            ("RoleSessionName", model.session_name),
            ("DurationSeconds", str(int(model.duration))),
        ]
        return urlencode([*asked, *said]).encode("ascii")

    def _understood(self, answer: Fetched) -> AwsKeys:
        host, body = self.place.host, answer.body
        if answer.status != 200:
            code = element(body, b"Code", rb"[A-Za-z]{1,64}")
            raise DependencyDown(f"{host}: answered {answer.status}" + (f" {code}" if code in CODES else ""))
        id, secret = (
            element(body, b"AccessKeyId", rb"[A-Z0-9]{16,128}"),
            element(body, b"SecretAccessKey", rb"[A-Za-z0-9+/=]{16,256}"),
        )
        token, ends = (
            element(body, b"SessionToken", rb"[A-Za-z0-9+/=]{1,16384}"),
            _time(element(body, b"Expiration", rb"[0-9TZ:.+-]{20,32}")),
        )
        if not id or not secret or not token or ends is None or ends <= self._now():
            raise DependencyDown(f"{host}: the answer holds no keys that count")
        if not self._is_ours(element(body, b"Arn", rb"[!-;=?-~]{20,2048}")):
            raise DependencyDown(f"{host}: the answer is about another role")
        return AwsKeys(id.encode("ascii"), Secret(secret.encode("ascii")), token.encode("ascii"), ends)

    def _is_ours(self, told: str) -> bool:
        """Whether `arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION` is of the role that was asked for."""
        _, partition, _, _, account, role = self._model.arn.split(":", 5)
        name = role.rpartition("/")[2]
        return told == f"arn:{partition}:sts::{account}:assumed-role/{name}/{self._model.session_name}"


class Lasting:
    """The keys of a role for questions of the gateway's own, kept until they grow old. Implements `aws.Keys`."""

    AHEAD: Final = 300.0
    """Seconds before their end by which they are asked for again."""

    def __init__(self, role: Role, now: Callable[[], float]) -> None:
        self._role = role
        self._now = now
        self._held: AwsKeys | None = None

    async def __call__(self, fetch: Fetch) -> AwsKeys:
        """Raises DependencyDown where there are none that still count."""
        held = self._held
        left = (held.expires or 0.0) - self._now() if held is not None else 0.0
        if held is not None and left > self.AHEAD:
            return held
        try:
            self._held = made = await self._role(fetch)
        except DependencyDown:
            if held is None or left <= 0:
                raise
            return held
        return made


def element(body: bytes, name: bytes, form: bytes) -> str:
    """The text of an element that stands there once and has this form, else ""."""
    found = re.findall(rb"<%b>([^<]*)</%b>" % (name, name), body)
    return found[0].decode("ascii") if len(found) == 1 and re.fullmatch(form, found[0]) else ""


def _time(text: str) -> float | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.timestamp() if found.tzinfo is not None else None
