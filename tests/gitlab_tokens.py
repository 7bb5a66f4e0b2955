"""GitLab's tokens as docs.gitlab.com/api/personal_access_tokens has them: each rotation ends the one that asked, and whoever rotates
with one that has ended ends all that came of it."""

import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

from tests.house import Seen
from tests.rotating import Stage, stage

FIRST = "gl-canary-first-0123"
SELF = "/api/v4/personal_access_tokens/self"
DIAL = {"allow_private": True, "allow_plaintext": True}


class GitLab:
    """One family of tokens. `made` answers a rotation that was done, as it should or otherwise."""

    def __init__(self) -> None:
        self.live = {FIRST}
        self.asked: list[str] = []
        self.ends: list[date] = []
        self.refuses = 0
        self.made: Callable[[str], bytes] = handed

    def answer(self, seen: Seen) -> bytes:
        self.asked.append(f"{seen.method} {seen.target.removeprefix('/api/v4')}")
        shown = seen.all("private-token")
        counts = len(shown) == 1 and shown[0] in self.live
        if seen.method == "POST" and seen.target.endswith("/self/rotate"):
            return self._rotated(seen, counts)
        if not counts or seen.target != SELF:
            return said(401, {"message": "401 Unauthorized"})
        if seen.method == "DELETE":
            self.live.clear()
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        return said(200, {"id": 1, "active": True})

    def _rotated(self, seen: Seen, counts: bool) -> bytes:
        if not counts:
            self.live.clear()
            return said(401, {"message": "401 Unauthorized"})
        if self.refuses:
            return said(self.refuses, {"message": shown_again(seen)})
        self.ends.append(date.fromisoformat(json.loads(seen.body)["expires_at"]))
        token = "gl-canary-" + secrets.token_hex(8)
        self.live = {token}
        return self.made(token)


def handed(token: str) -> bytes:
    return said(200, {"id": 42, "active": True, "token": token})


def said(status: int, members: dict[str, Any]) -> bytes:
    body = json.dumps(members).encode()
    return b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def shown_again(seen: Seen) -> str:
    """A server that repeats what it was sent."""
    return " ".join(seen.all("private-token"))


@asynccontextmanager
async def tokens(folder: Path, **provider: Any) -> AsyncIterator[tuple[Stage, GitLab]]:
    there = GitLab()

    def credential(port: int) -> dict[str, Any]:
        asked = {"kind": "gitlab", "api": f"http://127.0.0.1:{port}/api/v4", "dial": DIAL, **provider}
        return {"inject": "bearer", "secret": {"sealed": "bot"}, "rotate": {"every": "1d", "provider": asked}}

    async with stage(folder, credential, FIRST) as here:
        here.upstream.answer = there.answer
        yield here, there
        assert "canary" not in str(here.told)
