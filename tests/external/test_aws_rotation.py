"""A user's access keys, rotated at the IAM that moto imitates, which checks every signature."""

import json
from pathlib import Path
from typing import Any

from gateway.core.secret import Secret
from gateway.credentials.rotation.iam import AccessKeys
from gateway.credentials.rotation.job import Outcome
from gateway.credentials.rotation.model import Iam
from tests.external.amazon import Amazon
from tests.house import Upstream
from tests.rotating import Stage, configure, rotating
from tests.storing import Beside

DIAL = {"allow_plaintext": True, "allow_private": True}
WHO = "/?Action=GetCallerIdentity&Version=2011-06-15"


def signing(server: Amazon, folder: Path) -> None:
    """A configuration that tries new keys both ways: at an upstream that is signed for, here the security token service."""
    url = f"http://127.0.0.1:{server.port}"
    provider = {"kind": "aws_iam", "url": url, "sts_url": url, "dial": DIAL}
    rotate = {"every": "1d", "provider": provider, "verify": {"path": WHO}}
    keys: dict[str, Any] = {"inject": "sigv4", "region": "us-east-1", "service": "sts", "keys": {"sealed": "bot"}, "rotate": rotate}
    whole = rotating(folder, server.port)
    configure(folder, {**whole, "credentials": {"bot": keys}, "upstreams": {"api": {"url": url, **DIAL, "credential": "bot"}}})


async def test_a_users_keys_are_replaced_and_the_old_ones_deleted(amazon: Amazon, tmp_path: Path) -> None:
    first = json.dumps({"AccessKeyId": amazon.id, "SecretAccessKey": amazon.secret})
    signing(amazon, tmp_path)
    async with Beside(tmp_path / "store.db") as beside:
        here = Stage(tmp_path, Upstream(), beside)
        url = f"http://127.0.0.1:{amazon.port}"
        model = Iam.model_validate({"kind": "aws_iam", "url": url, "sts_url": url, "dial": DIAL})
        aws = AccessKeys(model, "us-east-1", here.fetch, here.clock.now)
        await here.age(first)
        assert await here.rotor().turn() is Outcome.OVERLAPPING, here.told
        second = await here.in_force()
        assert [await aws.ask(Secret(keys.encode())) for keys in (first, second)] == ["", ""]
        swapped = json.dumps({**json.loads(second), "SecretAccessKey": amazon.secret})
        assert await aws.ask(Secret(swapped.encode())) == "AWS answered SignatureDoesNotMatch"
        here.clock.step(3600)
        assert await here.rotor().turn() is Outcome.REVOKED, here.told
        assert await aws.ask(Secret(first.encode())) == "AWS answered InvalidClientTokenId"
        assert await aws.ask(Secret(second.encode())) == ""
        here.clock.step(86400)
        assert await here.rotor().turn() is Outcome.OVERLAPPING, "the new keys make the next"
        await here.fetch.close()
