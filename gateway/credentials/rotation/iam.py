"""Access keys of an AWS user, minted and deleted by IAM, which is asked with keys of that user.

docs.aws.amazon.com/IAM/latest/APIReference: CreateAccessKey, ListAccessKeys, UpdateAccessKey, DeleteAccessKey. Without a user's
name they are about the one whose keys sign. A user has two keys at most, so there must be one before a rotation: then the second
that is found after an answer was lost is the one that was made, and its id can be told.
"""

import json
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode

from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetch, Fetched
from gateway.core.secret import Secret
from gateway.credentials.cloud.aws import SECONDS, Place, address, signed_post
from gateway.credentials.cloud.sts import FORM, MAX_ANSWER, XML, element
from gateway.credentials.cloud.sts import VERSION as STS_VERSION
from gateway.credentials.rotation.minter import NotDone
from gateway.credentials.rotation.model import Iam
from gateway.credentials.rotation.record import Held
from gateway.credentials.sigv4_keys import AwsKeys, keys_of

VERSION: Final = "2010-05-08"
ID: Final = rb"[A-Z0-9]{16,128}"
KEY: Final = rb"[A-Za-z0-9+/=]{16,256}"
LISTED: Final = re.compile(rb"<AccessKeyId>(%b)</AccessKeyId>" % ID)
UNKNOWN: Final = frozenset({"InvalidClientTokenId", "NoSuchEntity"})
"""What AWS says of a key that is not there: as who asks, and as what is asked about."""
CODES: Final = UNKNOWN | {
    "AccessDenied",
    "EntityTemporarilyUnmodifiable",
    "ExpiredToken",
    "LimitExceeded",
    "RequestExpired",
    "ServiceFailure",
    "SignatureDoesNotMatch",
    "Throttling",
    "ValidationError",
}
"""A closed list: what a service says besides could be what it was sent."""


class AccessKeys:
    """Mints keys, as a document like that of `credential_process`. Implements `minter.Minter`."""

    replaces = False
    patience = 4 * SECONDS
    cut_off = "a gateway ended while AWS IAM was asked for a key: the user may have one that nobody holds"

    def __init__(self, model: Iam, region: str, fetch: Fetch, now: Callable[[], float]) -> None:
        url, signed_for = endpoint(region)
        self._place = Place((model.url or url).rstrip("/"), signed_for, "iam", model.dial)
        self._sts = Place((model.sts_url or address("sts", region)).rstrip("/"), region, "sts", model.dial)
        self._fetch = fetch
        self._now = now

    async def mint(self, old: Held) -> Held:
        keys = _lasting(old.secret)
        listed = await self._done("ListAccessKeys", keys)
        ids = [found.decode("ascii") for found in LISTED.findall(listed.body)]
        if keys.id.decode("ascii") not in ids or len(set(ids)) != len(ids):
            raise NotDone("AWS IAM answered no list of the user's keys")
        if len(ids) > 1:
            others = ", ".join(id for id in ids if id.encode("ascii") != keys.id)[:300]
            raise NotDone(f"the user has another access key, {others}: AWS allows two, so delete it where nobody uses it")
        made = await self._done("CreateAccessKey", keys)
        id, secret = element(made.body, b"AccessKeyId", ID), element(made.body, b"SecretAccessKey", KEY)
        if not id or not secret:
            raise NotDone("AWS IAM answered no key that can be read: the user may have one that nobody holds")
        document = {"Version": 1, "AccessKeyId": id, "SecretAccessKey": secret}
        return Held(Secret(json.dumps(document).encode("ascii")), id)

    async def revoke(self, gone: Held, current: Secret | None) -> None:
        """Asked with the keys in force, then with those that go themselves: the ones in force may be another user's by now."""
        wrong, mine = [], _lasting(gone.secret)
        for keys in (_signing(current), mine):
            if keys is not None:
                fault = await self._deleted(mine.id.decode("ascii"), keys)
                if not fault:
                    return
                wrong.append(fault)
        if not UNKNOWN.issuperset(wrong):
            raise NotDone(f"AWS IAM deletes no key: {', '.join(wrong)}")

    async def ask(self, secret: Secret | None) -> str:
        """Whether the security token service knows keys. Implements `trial.Ask`."""
        if secret is None:
            return "AWS answers nothing that is not signed"
        try:
            answer = await self._asked(self._sts, "GetCallerIdentity", STS_VERSION, _lasting(secret))
        except NotDone as error:
            return str(error)
        except DependencyDown as error:
            return f"AWS cannot be asked: {error.detail}"
        return "" if answer.status == 200 else f"AWS answered {_fault(answer)}"

    async def _deleted(self, id: str, by: AwsKeys) -> str:
        """Delete a key, or at least end it; "" where it is deleted, else what AWS said."""
        answer = await self._answered("DeleteAccessKey", by, AccessKeyId=id)
        if answer.status == 200:
            return ""
        fault = _fault(answer)
        if fault in UNKNOWN:
            return fault
        ended = await self._answered("UpdateAccessKey", by, AccessKeyId=id, Status="Inactive")
        return f"{fault} ({id} is inactive now)" if ended.status == 200 else fault

    async def _done(self, action: str, keys: AwsKeys) -> Fetched:
        answer = await self._answered(action, keys)
        if answer.status != 200:
            raise NotDone(f"AWS IAM answered {_fault(answer)} to {action}")
        return answer

    async def _answered(self, action: str, keys: AwsKeys, **said: str) -> Fetched:
        try:
            return await self._asked(self._place, action, VERSION, keys, **said)
        except DependencyDown as error:
            raise NotDone(f"AWS IAM cannot be asked: {error.detail}") from None

    async def _asked(self, place: Place, action: str, version: str, keys: AwsKeys, **said: str) -> Fetched:
        body = urlencode({"Action": action, "Version": version, **said}).encode("ascii")
        return await signed_post(self._fetch, place, keys, self._now(), body, FORM, XML, MAX_ANSWER)


def endpoint(region: str) -> tuple[str, str]:
    """Where IAM is for a region, and the region that its signatures name: one for each partition."""
    if region.startswith("cn-"):
        return "https://iam.cn-north-1.amazonaws.com.cn", "cn-north-1"
    if region.startswith("us-gov-"):
        return "https://iam.us-gov.amazonaws.com", "us-gov-west-1"
    return "https://iam.amazonaws.com", "us-east-1"


def _lasting(secret: Secret) -> AwsKeys:
    """The keys of a document, which must be a user's own. Raises NotDone."""
    try:
        keys = keys_of(secret.reveal())
    except ValueError as error:
        raise NotDone(f"the keys: {error}") from None
    if keys.token:
        raise NotDone("the keys are temporary: IAM makes no others with them")
    return keys


def _signing(secret: Secret | None) -> AwsKeys | None:
    """The keys of a document, None where there are none that IAM would answer."""
    try:
        return _lasting(secret) if secret is not None else None
    except NotDone:
        return None


def _fault(answer: Fetched) -> str:
    code = element(answer.body, b"Code", rb"[A-Za-z]{1,64}")
    return code if code in CODES else str(answer.status)
