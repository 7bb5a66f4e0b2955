"""An upstream that counts its own limits, behind the whole gateway: its credential pauses, and those who share it share fairly."""

import json
import time
from pathlib import Path
from typing import Any

from tests.house import House, Seen, house


class Github:
    """Answers with what is left of a quota, as GitHub does, and refuses beyond it."""

    def __init__(self, limit: int) -> None:
        self.limit = self.left = limit
        self.resets = int(time.time()) + 600

    def __call__(self, seen: Seen) -> bytes:
        self.left -= 1
        fields = (
            f"X-RateLimit-Limit: {self.limit}\r\nX-RateLimit-Remaining: {max(0, self.left)}\r\nX-RateLimit-Reset: {self.resets}\r\n"
        )
        if self.left < 0:
            return f"HTTP/1.1 429 Too Many Requests\r\n{fields}Retry-After: 60\r\nContent-Length: 0\r\n\r\n".encode()
        return f"HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok".encode()


async def asked(home: House, who: str, times: int) -> list[int]:
    token = home.keys.token(who)
    return [(await home.get("/things/one", token=token)).status for _ in range(times)]


def over(**quota: Any) -> dict[str, Any]:
    return {"upstream": {"quota": quota}, "rate_limits": {"headers": "none"}}


async def test_the_credential_stops_before_the_upstream_refuses_it_and_everybody_is_told_when_to_come_back(tmp_path: Path) -> None:
    async with house(tmp_path, **over(reserve_percent=20)) as home:
        github = home.upstream.answer = Github(10)
        assert await asked(home, "alice", 10) == [200] * 8 + [429] * 2
        assert (len(home.upstream.seen), github.left) == (8, 2)
        refused = await home.get("/things/one", token=home.keys.token("alice"))
        assert 590 <= int(refused["Retry-After"]) <= 600
        assert refused.json()["violated-policies"] == ["api-quota"]
        last = (await home.requests())[-1]
        assert (last["reason"], last["credential"], last["detail"]) == ("rate-limited", "bot", "api-quota: exhausted")


async def test_one_who_asks_without_end_leaves_the_others_their_part(tmp_path: Path) -> None:
    async with house(tmp_path, **over(reserve_percent=0)) as home:
        home.upstream.answer = Github(20)
        assert await asked(home, "bob", 1) == [200]
        assert 429 in await asked(home, "alice", 15)
        assert await asked(home, "bob", 9) == [200] * 9


async def test_a_pause_holds_for_one_credential_and_survives_a_reload(tmp_path: Path) -> None:
    async with house(tmp_path, **over()) as home:
        home.upstream.answer = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n"
        assert await asked(home, "alice", 1) == [429]
        await home.process.reload()
        assert await asked(home, "carol", 2) == [429, 429]
        assert len(home.upstream.seen) == 1
        assert (await home.get("/public/x")).status == 429, "another credential, so the upstream itself was asked"
        assert len(home.upstream.seen) == 2


async def test_operators_see_what_is_left_and_who_was_refused(tmp_path: Path) -> None:
    async with house(tmp_path, **over(reserve_percent=50)) as home:
        home.upstream.answer = Github(4)
        await asked(home, "alice", 3)
        metrics = (await home.get("/metrics", listener="admin", host="127.0.0.1")).body.decode()
        assert 'gateway_upstream_quota_remaining{credential="bot",upstream="api"} 2' in metrics
        assert 'gateway_upstream_quota_refused_total{credential="bot",upstream="api",why="exhausted"} 1' in metrics
        status = json.loads((await home.get("/readyz?verbose", listener="admin", host="127.0.0.1")).body)
        assert "quotas" in json.dumps(status)


async def test_an_upstream_whose_quota_nobody_heeds_is_asked_whatever_it_says(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.upstream.answer = Github(1)
        assert await asked(home, "alice", 3) == [200, 429, 429]
        assert len(home.upstream.seen) == 3
