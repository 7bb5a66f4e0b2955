"""Sessions that replicas share, in a Redis (or Valkey) server that evicts nothing. Imported only where one is configured.

A record is a hash of its version, its sealed text, its tags and who may replace it until when; it ends by the server's own clock. A
tag is a sorted set of names, by when they were added. A record that is removed is taken from its tags; of those that ended by
themselves each addition takes away what it meets of some that it looks at, and whatever is older than any session.
"""

from collections.abc import Sequence
from hashlib import sha1
from secrets import randbelow
from typing import Any, Final, final

from gateway.core.session_store import Stored
from gateway.store.redis_link import RedisLink
from gateway.store.resp import Command
from gateway.store.server import Server

TIMEOUT: Final = 0.25
MOST_TAGGED: Final = 1000
LONGEST_MS: Final = 31 * 86400 * 1000
"""How long a tag outlives the last addition to it: longer than any session."""
LOOKED_AT: Final = 16
"""Entries of each tag that an addition looks at. It adds one and takes away those of ended sessions, so that few of them stay."""

ADD: Final = """
redis.call('HSET', KEYS[1], 'v', '1', 's', ARGV[1], 't', table.concat(KEYS, ' ', 2))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local now = redis.call('TIME')
local micros = now[1] * 1000000 + now[2]
local looked = tonumber(ARGV[6])
for index = 2, #KEYS do
  local tag = KEYS[index]
  redis.call('ZREMRANGEBYSCORE', tag, '-inf', string.format('%.0f', micros - ARGV[3] * 1000))
  local first = ARGV[7] % math.max(redis.call('ZCARD', tag) - looked + 1, 1)
  for _, id in ipairs(redis.call('ZRANGE', tag, first, first + looked - 1)) do
    if redis.call('EXISTS', ARGV[5] .. id) == 0 then redis.call('ZREM', tag, id) end
  end
  redis.call('ZADD', tag, string.format('%.0f', micros), ARGV[4])
  redis.call('PEXPIRE', tag, ARGV[3])
end
return 1
"""
REMOVE: Final = """
local tags = redis.call('HGET', KEYS[1], 't') or ''
for tag in string.gmatch(tags, '%S+') do redis.call('ZREM', tag, ARGV[1]) end
return redis.call('DEL', KEYS[1])
"""
CLAIM: Final = """
if redis.call('HGET', KEYS[1], 'v') ~= ARGV[1] then return 0 end
local now = redis.call('TIME')
local claimed = tonumber(redis.call('HGET', KEYS[1], 'c') or '0')
if claimed > now[1] * 1000 + now[2] / 1000 then return 0 end
redis.call('HSET', KEYS[1], 'c', string.format('%.0f', now[1] * 1000 + now[2] / 1000 + ARGV[2]))
return 1
"""
REPLACE: Final = """
if redis.call('HGET', KEYS[1], 'v') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'v', ARGV[1] + 1, 's', ARGV[2])
redis.call('HDEL', KEYS[1], 'c')
return 1
"""
RELEASE: Final = """
if redis.call('HGET', KEYS[1], 'v') ~= ARGV[1] then return 0 end
return redis.call('HDEL', KEYS[1], 'c')
"""
TAGGED: Final = """
local found = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if redis.call('EXISTS', ARGV[1] .. id) == 1 then
    if #found < tonumber(ARGV[2]) then found[#found + 1] = id end
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return found
"""


@final
class RedisSessions:
    """Implements `core.session_store.SessionStore`. Names are digests, tags keyed ones, records sealed."""

    def __init__(self, server: Server, kind: str = "session", *, timeout: float | None = None) -> None:
        """`kind` is of what the records are: those of another are others, whatever their names."""
        self._record, self._tag = f"{{latchgate}}:{kind}:", f"{{latchgate}}:{kind}s:"
        self._link = RedisLink(f"{kind}s", server, timeout=TIMEOUT if timeout is None else timeout)

    async def add(self, id: str, sealed: str, seconds: float, tags: Sequence[str]) -> None:
        keys = [self._record + id, *(self._tag + tag for tag in tags)]
        chance = randbelow(1 << 31)  # Lua's own begins anew with each script
        await self._run(ADD, keys, sealed, milliseconds(seconds), LONGEST_MS, id, self._record, LOOKED_AT, chance)

    async def get(self, id: str) -> Stored | None:
        return await self._link.ask(("HMGET", self._record + id, "v", "s"), stored)

    async def keep(self, id: str, seconds: float) -> None:
        await self._link.ask(("PEXPIRE", self._record + id, milliseconds(seconds)), int)

    async def claim(self, id: str, version: int, seconds: float) -> bool:
        return await self._run(CLAIM, [self._record + id], version, milliseconds(seconds)) == 1

    async def replace(self, id: str, version: int, sealed: str) -> bool:
        return await self._run(REPLACE, [self._record + id], version, sealed) == 1

    async def release(self, id: str, version: int) -> None:
        await self._run(RELEASE, [self._record + id], version)

    async def remove(self, id: str) -> bool:
        return await self._run(REMOVE, [self._record + id], id) == 1

    async def tagged(self, tag: str) -> list[str]:
        keys = (self._tag + tag,)
        command, otherwise = script(TAGGED, keys, self._record, MOST_TAGGED)
        return await self._link.ask(command, names, otherwise=otherwise)

    def start(self) -> None:
        """Connect now, in the background."""
        self._link.start()

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        return self._link.status()

    async def close(self) -> None:
        await self._link.close()

    async def _run(self, text: str, keys: Sequence[str], *arguments: str | int) -> int:
        command, otherwise = script(text, keys, *arguments)
        return await self._link.ask(command, int, otherwise=otherwise)


def script(text: str, keys: Sequence[str], *arguments: str | int) -> tuple[Command, Command]:
    """A script by its digest, and as a whole for a server that does not hold it yet."""
    digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
    rest: Command = (len(keys), *keys, *arguments)
    return ("EVALSHA", digest, *rest), ("EVAL", text, *rest)


def milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def stored(answer: Any) -> Stored | None:
    """Raises TypeError and ValueError for what the server never says."""
    version, sealed = answer
    return None if version is None else Stored(int(version), sealed.decode("ascii"))


def names(answer: Any) -> list[str]:
    return [each.decode("ascii") for each in answer]
