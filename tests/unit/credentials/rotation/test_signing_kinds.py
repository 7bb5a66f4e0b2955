"""Secrets that sign, minted by the hook: a new one is tried by a signature, and a pair is one secret."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.credentials.rotation.job import Outcome
from tests.house import Seen, Upstream
from tests.rotating import FIRST, Provider, Scene, configure, rotating
from tests.storing import Beside

HMAC = {
    "inject": "hmac",
    "secret": {"sealed": "bot"},
    "content": "{method} {host} {target} {timestamp} {body_sha256}",
    "headers": {"X-Signature": "v1={signature}", "X-Time": "{timestamp}"},
}
SIGV4 = {"inject": "sigv4", "region": "eu-central-1", "service": "execute-api", "keys": {"sealed": "bot"}}
OK, NO = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def signing(folder: Path, credential: dict[str, Any], first: str, path: str) -> AsyncIterator[Scene]:
    provider = Provider(folder)
    async with Upstream() as upstream, Beside(folder / "store.db") as beside:
        whole = rotating(folder, upstream.port)
        rotate = provider.rotate(verify={"path": path, "within": "100ms"})
        whole["credentials"]["bot"] = {**credential, "rotate": rotate}
        configure(folder, whole)
        here = Scene(folder, provider, upstream, beside)
        await here.age(first)
        try:
            yield here
        finally:
            await here.fetch.close()


def by_hmac(live: set[str]) -> Callable[[Seen], bytes]:
    """An upstream that computes the signature itself, with whatever keys are live."""

    def answer(seen: Seen) -> bytes:
        [time], [host], [shown] = seen.all("x-time"), seen.all("host"), seen.all("x-signature")
        content = f"{seen.method} {host} {seen.target} {time} {hashlib.sha256(b'').hexdigest()}"
        right = {f"v1={hmac.new(key.encode(), content.encode(), 'sha256').hexdigest()}" for key in live}
        return OK if shown in right else NO

    return answer


async def test_a_signing_key_is_tried_by_a_signature(tmp_path: Path) -> None:
    async with signing(tmp_path, HMAC, FIRST, "/me?a=b") as here:

        def only_new_ones(seen: Seen) -> bytes:
            return by_hmac(here.provider.live - {FIRST})(seen)

        here.upstream.answer = only_new_ones
        assert await here.rotor().turn() is Outcome.OVERLAPPING
        assert await here.in_force() in here.provider.live - {FIRST}


async def test_a_signing_key_that_the_upstream_does_not_know_stays_out(tmp_path: Path) -> None:
    async with signing(tmp_path, HMAC, FIRST, "/me") as here:
        here.upstream.answer = by_hmac({FIRST})
        assert await here.rotor().turn() is Outcome.FAILED
        assert here.why == "the upstream answered 403 instead of 200"
        assert (await here.in_force(), here.provider.live) == (FIRST, {FIRST})


async def test_a_signing_key_in_another_encoding_than_configured_stays_out_unnamed(tmp_path: Path) -> None:
    async with signing(tmp_path, HMAC | {"key_encoding": "hex"}, "00" * 32, "/me") as here:
        assert await here.rotor().turn() is Outcome.FAILED
        assert here.why == "the new secret: the key is not hexadecimal"
        assert here.upstream.seen == []


def document(id: str) -> str:
    return json.dumps({"AccessKeyId": id, "SecretAccessKey": base64.b64encode(f"canary of {id}".encode()).decode()})


@pytest.mark.parametrize(("minted", "outcome"), [(document("AKIDSECOND"), Outcome.OVERLAPPING), ("canary", Outcome.FAILED)])
async def test_a_pair_is_one_secret_that_a_hook_mints(tmp_path: Path, minted: str, outcome: Outcome) -> None:
    async with signing(tmp_path, SIGV4, document("AKIDFIRST"), "/a%20b/me?x=1&b") as here:
        hook = here.provider.folder / "hook.py"
        token = 'token = "canary-minted-" + secrets.token_hex(8)'
        hook.write_text(hook.read_text().replace(token, f"token = {minted!r}").replace("open(live(token)", "open(live('x')"))
        here.upstream.answer = lambda seen: OK if "Credential=AKIDSECOND/" in seen.all("authorization")[0] else NO
        assert await here.rotor().turn() is outcome
        assert await here.in_force() == (minted if outcome is Outcome.OVERLAPPING else document("AKIDFIRST"))
        assert "canary" not in str(here.told)
