"""Roles of AWS: a stand-in for the security token service that recomputes every signature."""

import json
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from pydantic import ValidationError

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.credentials.cloud.model import AssumeRole
from gateway.credentials.cloud.sts import Lasting, Role
from gateway.credentials.minted import MadeOf
from gateway.credentials.sigv4_assumed import AssumedInjector, RoleKeys
from gateway.credentials.sigv4_injector import SigV4Injector
from gateway.credentials.sigv4_keys import AwsKeys
from gateway.credentials.token import Fresh, Wanted
from gateway.credentials.tokens import Tokens
from gateway.fetch import HttpFetch
from tests import aws
from tests.clouds import Asked, Reply, Service, serving
from tests.issuer import Counted, FrozenClock
from tests.minting import Told

ARN = "arn:aws:iam::111122223333:role/team/gateway"
SESSION = "arn:aws:sts::111122223333:assumed-role/gateway/latchgate"
JWT = "e30.eyJleHAiOjF9.c2ln"
NOW = 1_800_000_000.0


TEMPORARY = "FQoGZXIvYXdz+/="


def answered(
    action: str = "AssumeRole",
    arn: str = SESSION,
    expiration: str = "2027-01-15T09:00:00Z",
    more: str = "",
    token: str = TEMPORARY,
) -> bytes:
    keys = f"<AccessKeyId>ASIAEXAMPLEEXAMPLE</AccessKeyId><SecretAccessKey>{'s' * 40}</SecretAccessKey>"
    credentials = f"<Credentials>{keys}<SessionToken>{token}</SessionToken><Expiration>{expiration}</Expiration></Credentials>"
    user = f"<AssumedRoleUser><AssumedRoleId>AROA:latchgate</AssumedRoleId><Arn>{arn}</Arn></AssumedRoleUser>"
    return f"<{action}Response><{action}Result>{credentials}{user}{more}</{action}Result></{action}Response>".encode()


class Sts:
    def __init__(self) -> None:
        self.answer: Reply = 200, answered()
        self.forms: list[dict[str, str]] = []

    def __call__(self, asked: Asked) -> Reply:
        form = asked.form
        assert (asked.method, asked.target, asked.header("accept")) == ("POST", "/", "text/xml")
        if form["Action"] == "AssumeRole":
            aws.verify(asked.method, asked.target, asked.headers, asked.body)
        else:
            assert asked.header("authorization") is None
        self.forms.append(form)
        return self.answer


class Keys:
    def current(self, now: float) -> AwsKeys:
        return AwsKeys(aws.KEY_ID.encode(), Secret(aws.SECRET.encode()))


class Source:
    name = "file:token"

    def current(self) -> Secret:
        return Secret(JWT.encode() + b"\n")


@pytest.fixture
def sts() -> Sts:
    return Sts()


@pytest.fixture
def service(sts: Sts) -> Iterator[Service]:
    with serving(sts) as service:
        yield service


Made = Callable[..., Role]


@pytest.fixture
def made(service: Service) -> Made:
    def make(keys: bool = True, now: Callable[[], float] = lambda: NOW, **over: Any) -> Role:
        dial = {"allow_plaintext": True, "allow_private": True}
        model = AssumeRole.model_validate({"arn": ARN, "sts_url": service.url, "dial": dial, **over})
        return Role(model, "eu-central-1", Keys() if keys else None, lambda reference: Source(), now)

    return make


async def test_a_role_is_asked_for_with_keys(made: Made, sts: Sts) -> None:
    keys = await made(external_id="acme", duration="15m")(HttpFetch(user_agent="test"))
    assert (keys.id, keys.secret.reveal(), keys.token, keys.expires) == (
        b"ASIAEXAMPLEEXAMPLE",
        b"s" * 40,
        b"FQoGZXIvYXdz+/=",
        1_800_003_600.0,
    )
    assert sts.forms == [
        {
            "Action": "AssumeRole",
            "Version": "2011-06-15",
            "RoleArn": ARN,
            "RoleSessionName": "latchgate",
            "DurationSeconds": "900",
            "ExternalId": "acme",
        }
    ]


async def test_a_role_is_asked_for_with_another_issuers_token_and_without_a_signature(made: Made, sts: Sts) -> None:
    sts.answer = 200, answered("AssumeRoleWithWebIdentity")
    assert (await made(keys=False, token={"file": "/token"})(HttpFetch(user_agent="test"))).id == b"ASIAEXAMPLEEXAMPLE"
    assert sts.forms[0]["WebIdentityToken"] == JWT


ANSWERS: dict[str, Reply] = {
    "403": (403, b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>canary</Message></Error></ErrorResponse>"),
    "a code that is none": (403, b"<Code>canary</Code>"),
    "no XML": (200, b"{}"),
    "a redirect": (307, b""),
    "too long": (200, answered() + b" " * 40_000),
    "another role": (200, answered(arn=SESSION.replace("gateway", "admin"))),
    "another account": (200, answered(arn=SESSION.replace("1111", "4444"))),
    "keys twice": (200, answered(more="<AccessKeyId>ASIAEXAMPLEEXAMPLE</AccessKeyId>")),
    "keys that have ended": (200, answered(expiration="2020-01-15T09:00:00Z")),
    "no time": (200, answered(expiration="tomorrow-or-the-day-after")),
    "no zone": (200, answered(expiration="2027-01-15T09:00:00.000000")),
    "a token with a line break": (200, answered(token="a\r\nb")),
    "an entity": (200, b'<!DOCTYPE x [<!ENTITY a "ASIAEXAMPLEEXAMPLE">]>' + answered().replace(b">ASIAEXAMPLEEXAMPLE<", b">&a;<")),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
async def test_an_answer_that_is_not_of_this_role_gives_no_keys(made: Made, sts: Sts, answer: Reply) -> None:
    sts.answer = answer
    with pytest.raises(DependencyDown) as told:
        await made()(HttpFetch(user_agent="test"))
    assert "canary" not in str(told.value.detail)


async def test_keys_are_kept_until_they_grow_old_and_serve_while_the_service_is_away(made: Made, sts: Sts) -> None:
    clock = FrozenClock(NOW)
    keys, fetch = Lasting(made(now=clock.now), clock.now), HttpFetch(user_agent="test")
    first = await keys(fetch)
    assert await keys(fetch) is first
    assert len(sts.forms) == 1
    clock.advance(3400)
    sts.answer = 500, b""
    assert await keys(fetch) is first
    assert len(sts.forms) == 2
    clock.advance(300)
    with pytest.raises(DependencyDown):
        await keys(fetch)


@pytest.mark.parametrize(
    "over",
    [
        {"arn": "arn:aws:iam::111122223333:user/gateway"},
        {"session_name": "a b"},
        {"duration": "1m"},
        {"token": {"env": "A"}, "external_id": "acme"},
        {"dial": {"allow_private": True}},
    ],
    ids=["a user", "a blank", "a minute", "an external id with a token", "plaintext"],
)
def test_a_role_that_cannot_be_is_refused(made: Made, over: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        made(**over)


@pytest.mark.parametrize(("keys", "over"), [(False, {}), (True, {"token": {"file": "/token"}})], ids=["nothing", "both"])
def test_a_role_is_asked_for_with_one_proof(made: Made, keys: bool, over: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="with the keys beside it, or with its `token`"):
        made(keys=keys, **over)


async def test_keys_of_a_role_are_not_signed_with_once_what_they_were_asked_for_with_was_taken_back() -> None:
    class TakenBack(MadeOf):
        times = 0

        def stand(self) -> int:
            return self.times

    class Signs:
        sets: frozenset[bytes] = frozenset()

        def inject(self, *_: Any) -> None:
            signed.append(keys.current(NOW).id)

    async def mint() -> Fresh:
        asked.append("once more")
        document = {"AccessKeyId": f"ASIA{len(asked)}", "SecretAccessKey": "s" * 40, "SessionToken": "t"}
        return Fresh(json.dumps(document).encode(), 3600.0)

    def no_secrets(_: Any) -> Any: ...

    signed: list[bytes] = []
    asked: list[str] = []
    outbound: Any = None
    keys, made_of, signs = RoleKeys("bot"), TakenBack(no_secrets), cast("SigV4Injector", Signs())
    tokens = Tokens("bot", FrozenClock(NOW), Counted(), Told())
    injector = AssumedInjector("bot", tokens, Wanted("", mint, form=bytes), keys, signs, made_of)
    for made_of.times in (0, 0, 1, 1):
        later = injector.inject(outbound, outbound)
        if later is not None:
            await later
    assert signed == [b"ASIA1", b"ASIA1", b"ASIA2", b"ASIA2"]
