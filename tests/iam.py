"""IAM and the security token service with one user's access keys, answering as docs.aws.amazon.com/IAM/latest/APIReference says.

Whose signature it is decides here, not whether it is right: that is moto's part.
"""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.house import Seen
from tests.rotating import Stage, stage

FIRST_ID = "AKIDFIRST00000000000"
FIRST = f'{{"AccessKeyId": "{FIRST_ID}", "SecretAccessKey": "canary-first-0123456789"}}'
DIAL = {"allow_private": True, "allow_plaintext": True}


class Iam:
    """`live` are the keys, by id whether they are active. `made` answers a creation that was done."""

    def __init__(self) -> None:
        self.live = {FIRST_ID: True}
        self.asked: list[str] = []
        self.refuses: dict[str, bytes] = {}
        self.made: Callable[[str], bytes] = handed

    def answer(self, seen: Seen) -> bytes:
        said = {name: values[0] for name, values in parse_qs(seen.body.decode()).items()}
        action = said["Action"]
        self.asked.append(action)
        by = re.search(r"Credential=(\w+)/\d{8}/us-east-1/(iam|sts)/", seen.all("authorization")[0])
        if by is None or not self.live.get(by[1]):
            return fault(403, b"InvalidClientTokenId")
        if action in self.refuses:
            return fault(403, self.refuses[action])
        return self._done(action, said.get("AccessKeyId", ""), said.get("Status", ""))

    def _done(self, action: str, id: str, status: str) -> bytes:
        match action:
            case "GetCallerIdentity":
                return answered(b"<Arn>arn:aws:iam::123456789012:user/bot</Arn>")
            case "ListAccessKeys":
                return answered(b"".join(b"<member><AccessKeyId>%b</AccessKeyId></member>" % id.encode() for id in self.live))
            case "CreateAccessKey":
                id = f"AKIDNEW{len(self.asked):013}"
                self.live[id] = True
                return self.made(id)
            case _ if id not in self.live:
                return fault(404, b"NoSuchEntity")
            case "UpdateAccessKey":
                self.live[id] = status == "Active"
            case _:
                del self.live[id]
        return answered(b"")


def handed(id: str) -> bytes:
    return answered(
        b"<AccessKey><AccessKeyId>%b</AccessKeyId><SecretAccessKey>canaryMINTED0123/+=</SecretAccessKey></AccessKey>" % id.encode()
    )


def answered(inner: bytes, status: int = 200) -> bytes:
    body = b"<Response>" + inner + b"</Response>"
    return b"HTTP/1.1 %d X\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def fault(status: int, code: bytes) -> bytes:
    return answered(b"<Error><Code>%b</Code><Message>canary of what was sent</Message></Error>" % code, status)


@asynccontextmanager
async def keys(folder: Path) -> AsyncIterator[tuple[Stage, Iam]]:
    there = Iam()

    def credential(port: int) -> dict[str, Any]:
        url = f"http://127.0.0.1:{port}"
        provider = {"kind": "aws_iam", "url": url, "sts_url": url, "dial": DIAL}
        rotate = {"every": "1d", "provider": provider}
        return {"inject": "sigv4", "region": "us-east-1", "service": "s3", "keys": {"sealed": "bot"}, "rotate": rotate}

    async with stage(folder, credential, FIRST) as here:
        here.upstream.answer = there.answer
        yield here, there
        assert "canary" not in str(here.told)
