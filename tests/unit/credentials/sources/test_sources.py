"""Secrets with services: stand-ins that check every field of what they are asked, over real sockets."""

import base64
import json
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetch
from gateway.core.secret import Secret
from gateway.credentials.cloud.crc32c import crc32c
from gateway.credentials.sources.following import Following, ask, status
from gateway.credentials.sources.model import Ages
from gateway.credentials.sources.source import LONGEST_RETRY, Gone, Read, RemoteSource
from gateway.fetch import HttpFetch
from gateway.resources import Nobody
from gateway.settings import Loaded, load
from tests import aws
from tests.clouds import Asked, Reply, Service, serving
from tests.fakes import SteppedClock

VALUE = "canary-secret-of-a-service"
TOKEN = "hvs.canary-token"
ARN = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:prod/github-a1b2c3"
DIAL = {"allow_plaintext": True, "allow_private": True}
LONGEST_WAIT = LONGEST_RETRY * 1.2 + 1
"""Seconds after which a service that is away is asked once more, whatever the jitter is."""


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def vault(asked: Asked) -> Reply:
    assert asked.header("x-vault-token") == TOKEN
    assert (asked.method, asked.target) == ("GET", "/v1/kv/data/teams/github")
    return 200, {"data": {"data": {"token": VALUE, "number": 7}, "metadata": {"version": 3}}}


def vault_1(asked: Asked) -> Reply:
    assert (asked.method, asked.target) == ("GET", "/v1/kv/teams/github")
    return 200, {"data": {"token": VALUE}, "lease_duration": 2764800}


def amazon(asked: Asked) -> Reply:
    aws.verify(asked.method, asked.target, asked.headers, asked.body)
    assert asked.header("x-amz-target") == "secretsmanager.GetSecretValue"
    assert asked.json() == {"SecretId": "prod/github", "VersionStage": "AWSCURRENT"}
    return 200, {"ARN": ARN, "Name": "prod/github", "SecretString": json.dumps({"token": VALUE}), "VersionId": "v-3"}


def google(asked: Asked) -> Reply:
    if asked.target == "/token":
        return 200, {"access_token": "ya29.token", "expires_in": 3599, "token_type": "Bearer"}
    assert (asked.method, asked.target) == ("GET", "/v1/projects/acme/secrets/github/versions/latest:access")
    assert asked.header("authorization") == "Bearer ya29.token"
    content = json.dumps({"token": VALUE})
    payload = {"data": b64(content), "dataCrc32c": str(crc32c(content.encode()))}
    return 200, {"name": "projects/42/secrets/github/versions/3", "payload": payload}


KINDS: dict[str, tuple[Callable[[Asked], Reply], dict[str, Any], dict[str, str]]] = {
    "vault": (
        vault,
        {"kind": "vault", "mount": "kv", "token": {"env": "TOKEN"}, **DIAL},
        {"vault": "teams/github", "field": "token"},
    ),
    "vault 1": (
        vault_1,
        {"kind": "vault", "mount": "kv", "version": 1, "token": {"env": "TOKEN"}, **DIAL},
        {"vault": "teams/github", "field": "token"},
    ),
    "aws": (
        amazon,
        {
            "kind": "aws",
            "region": "eu-central-1",
            "access_key_id": aws.KEY_ID,
            "secret_access_key": {"env": "AWS_SECRET"},
            "dial": DIAL,
        },
        {"aws_secret": "prod/github", "field": "token"},
    ),
    "gcp": (
        google,
        {"kind": "gcp", "project": "acme", "key": {"env": "ACCOUNT"}, "dial": DIAL},
        {"gcp_secret": "github", "field": "token"},
    ),
}


@pytest.fixture(scope="module")
def account() -> str:
    key = rsa.generate_private_key(65537, 2048)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = key.private_bytes(*form).decode()
    return json.dumps({"type": "service_account", "client_email": "gw@acme.test", "private_key_id": "k", "private_key": pem})


class Written:
    """A configuration with one secret in a service; `instead` answers other than it should."""

    def __init__(self, folder: Path, kind: str, account: str) -> None:
        self.file = folder / "config.yaml"
        self.kind = kind
        self.answer, self.model, self.reference = KINDS[kind]
        self.environ = {"TOKEN": TOKEN, "AWS_SECRET": aws.SECRET, "ACCOUNT": account}
        self.instead: Reply | None = None
        self.service: Service

    def __call__(self, asked: Asked) -> Reply:
        true = self.answer(asked)
        return true if self.instead is None or asked.target == "/token" else self.instead

    def load(self, reference: dict[str, Any] | None = None, **over: Any) -> Loaded:
        where = self.service.url + ("/v1" if self.kind == "gcp" else "")
        token_url = {"token_url": f"{self.service.url}/token"} if self.kind == "gcp" else {}
        model = {**self.model, "url": where, **token_url, **over}
        credentials = {"bot": {"inject": "bearer", "secret": reference or self.reference}}
        self.file.write_text(json.dumps({"version": 1, "secret_sources": {"here": model}, "credentials": credentials}))
        return load([self.file], environ=self.environ)

    def source(self, loaded: Loaded) -> RemoteSource:
        [source] = loaded.secrets.of(RemoteSource)
        return source


@pytest.fixture(params=KINDS)
def written(request: pytest.FixtureRequest, tmp_path: Path, account: str) -> Iterator[Written]:
    made = Written(tmp_path, request.param, account)
    with serving(made) as service:
        made.service = service
        yield made


@pytest.fixture
def in_vault(tmp_path: Path) -> Iterator[Written]:
    made = Written(tmp_path, "vault", "")
    with serving(made) as service:
        made.service = service
        yield made


def problems(loaded: Loaded, severity: str) -> list[str]:
    return [problem.message for problem in loaded.problems if problem.severity == severity]


async def test_a_secret_is_read_at_load_and_its_fingerprint_told(written: Written) -> None:
    loaded = written.load()
    assert problems(loaded, "error") == []
    assert written.source(loaded).current().reveal() == VALUE.encode()
    [access] = loaded.services.untold
    assert (access.outcome, access.cause) == ("replaced", "")
    assert len(access.fingerprint) == 16
    assert VALUE not in str(access)
    assert VALUE not in str(status(loaded.secrets.of(RemoteSource)))


GONE: dict[str, Reply] = {
    "vault": (404, {"errors": []}),
    "vault 1": (404, {"errors": []}),
    "aws": (400, {"__type": "ResourceNotFoundException", "Message": VALUE}),
    "gcp": (404, {"error": {"code": 404, "status": "NOT_FOUND"}}),
}


def test_a_secret_that_is_not_there_refuses_the_configuration(written: Written) -> None:
    written.instead = GONE[written.kind]
    [told] = problems(written.load(), "error")
    assert "there is no secret '" in told
    assert VALUE not in told


def test_a_field_that_is_not_there_refuses_the_configuration(written: Written) -> None:
    [told] = problems(written.load({**written.reference, "field": "password"}), "error")
    assert "the secret has no field 'password'" in told


ANSWERS: dict[str, Reply] = {
    "403": (403, {"errors": [f"denied {VALUE}"], "__type": "AccessDeniedException", "message": VALUE}),
    "404 of somebody else": (404, b"<html>"),
    "500": (500, b""),
    "a redirect": (307, b""),
    "no JSON": (200, b"<html>"),
    "other JSON": (200, ["x"]),
    "no data": (200, {"data": None, "payload": None, "Name": "prod/github"}),
    "too long": (200, b" " * 300_000),
    "another secret": (
        200,
        {
            "data": {"data": {"token": VALUE}, "metadata": {"version": True}},
            "Name": "prod/other",
            "SecretString": json.dumps({"token": VALUE}),
            "name": "projects/42/secrets/other/versions/3",
            "payload": {"data": b64("{}"), "dataCrc32c": "1"},
        },
    ),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_a_service_that_does_not_answer_well_gives_no_value_and_is_never_quoted(written: Written, answer: Reply) -> None:
    written.instead = answer
    written.service.extra = [("Location", "https://example.com/")]
    loaded = written.load()
    if written.kind == "vault 1" and answer[1] is ANSWERS["another secret"][1]:
        return  # of its own answers nothing tells whose they are
    for source in loaded.secrets.of(RemoteSource):
        with pytest.raises(DependencyDown):
            source.current()
    assert VALUE not in str(loaded.problems)
    assert [path for path in loaded.problems if path.path.startswith("credentials.bot.secret")]


def test_a_damaged_value_is_not_taken(written: Written) -> None:
    if written.kind == "gcp":
        payload = {"data": b64(json.dumps({"token": VALUE})), "dataCrc32c": "1"}
        written.instead = 200, {"name": "projects/42/secrets/github/versions/3", "payload": payload}
        assert any("damaged" in message for message in problems(written.load(), "warning"))


def test_a_service_that_is_away_is_waited_for_once_and_stops_only_what_needs_it(written: Written) -> None:
    written.service.down = True
    loaded = written.load()
    assert problems(loaded, "error") == []
    with pytest.raises(DependencyDown):
        written.source(loaded).current()


PATHS = ["../sys/raw", "a/../b", "a//b", "/a", "a/", "a/.hidden", "a*", "a?x=1", "a#b", "a%2e%2e", "a b", "a\n", "", "é"]


@pytest.mark.parametrize("path", PATHS)
def test_a_name_with_tricks_is_refused_and_never_asked_for(in_vault: Written, path: str) -> None:
    for reference in ({"vault": path}, {"gcp_secret": path}):
        assert problems(in_vault.load(reference), "error")
    assert in_vault.service.asked == []


WRONG: dict[str, tuple[dict[str, Any] | None, dict[str, Any], str]] = {
    "another kind": ({"aws_secret": "prod/github"}, {}, "no services could have this secret"),
    "another source": ({"vault": "a", "source": "there"}, {}, "'there' is no entry of `secret_sources`"),
    "itself": (None, {"token": {"vault": "a"}}, "cannot lie with one"),
    "plaintext": (None, {"allow_plaintext": False}, "the scheme must be https"),
    "ages": (None, {"stale_for": "1m"}, "cannot be shorter than `refresh`"),
    "two logins": (None, {"kubernetes": {"role": "a", "token": {"env": "TOKEN"}}}, "exactly one of"),
}


@pytest.mark.parametrize(("reference", "over", "told"), WRONG.values(), ids=WRONG.keys())
def test_what_does_not_fit_is_told(in_vault: Written, reference: dict[str, Any] | None, over: dict[str, Any], told: str) -> None:
    found = problems(in_vault.load(reference, **over), "error")
    assert [message for message in found if told in message], found


def test_the_keys_of_the_vault_cannot_lie_with_a_service(in_vault: Written) -> None:
    in_vault.load()
    document = json.loads(in_vault.file.read_text())
    transit = {"url": "https://vault.test", "key": "k", "token": {"vault": "teams/github", "field": "token"}}
    in_vault.file.write_text(json.dumps(document | {"vault": {"keys": [{"id": "k", "transit": transit}]}}))
    assert any(
        "services are not asked yet" in message for message in problems(load([in_vault.file], environ=in_vault.environ), "error")
    )


class Scripted:
    """A service in memory."""

    def __init__(self) -> None:
        self.now: Read | Exception = Read(Secret(b"one"), "1")
        self.asked = 0

    async def __call__(self, fetch: Fetch) -> Read:
        self.asked += 1
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


class Scene:
    """One source, followed."""

    def __init__(self) -> None:
        self.clock, self.metrics, self.service = SteppedClock(), Nobody(), Scripted()
        self.source = self.made()
        self.events: list[dict[str, Any]] = []
        self.following = Following(HttpFetch(user_agent="test"), self.metrics, self.tell)

    def made(self, key: str = "key", ages: Ages | None = None) -> RemoteSource:
        return RemoteSource(
            "kv:bot#value",
            key,
            self.service,
            ages or Ages.model_validate({"refresh": "60s", "stale_for": "600s"}),
            self.clock.monotonic,
        )

    def tell(self, name: str, /, **fields: Any) -> None:
        self.events.append({"event": name, **fields})

    async def look(self, after: float = 0.0) -> str:

        self.clock.step(after)
        await self.following.look([self.source], deque())
        try:
            return self.source.current().reveal().decode()
        except DependencyDown as error:
            return error.detail


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_a_value_is_asked_for_again_when_it_is_due_and_not_before(scene: Scene) -> None:
    assert [await scene.look(), await scene.look(10), await scene.look(10)] == ["one"] * 3
    assert scene.service.asked == 1
    scene.service.now = Read(Secret(b"two"), "2")
    assert await scene.look(60) == "two"
    assert [event["outcome"] for event in scene.events] == ["replaced", "replaced"]


async def test_an_equal_value_stays_the_same_object(scene: Scene) -> None:
    await scene.look()
    before = scene.source.current()
    scene.service.now = Read(Secret(b"one"), "1")
    await scene.look(61)
    assert scene.source.current() is before
    assert scene.events[-1]["outcome"] == "unchanged"


async def test_the_last_good_value_serves_for_as_long_as_is_stated_and_then_none(scene: Scene) -> None:
    await scene.look()
    scene.service.now = DependencyDown("kv.test: away")
    for _ in range(8):
        assert await scene.look(LONGEST_WAIT) == "one"
    assert "too old" in await scene.look(LONGEST_WAIT)
    scene.service.now = Read(Secret(b"two"), "2")
    assert await scene.look(LONGEST_WAIT) == "two"


async def test_the_end_of_a_value_needs_nobody_to_look(scene: Scene) -> None:
    await scene.look()
    scene.clock.step(601)
    with pytest.raises(DependencyDown):
        scene.source.current()


async def test_a_secret_that_was_deleted_is_refused_at_once(scene: Scene) -> None:
    await scene.look()
    scene.service.now = Gone("kv.test: there is no secret 'bot'")
    assert "there is no secret" in await scene.look(61)


async def test_a_source_says_how_often_its_secret_was_taken_back(scene: Scene) -> None:
    """Not that the service was away, nor that it still is gone."""
    seen = []
    kept = scene.service.now
    for now in (kept, DependencyDown("kv.test: away"), kept, Gone("gone"), Gone("gone"), kept, Gone("gone")):
        scene.service.now = now
        await scene.look(61)
        seen.append(scene.source.taken_back)
    assert seen == [0, 0, 0, 1, 1, 1, 2]


async def test_a_service_that_is_away_is_asked_less_and_less(scene: Scene) -> None:
    scene.service.now = DependencyDown("kv.test: away")
    for _ in range(120):
        await scene.look(1)
    assert scene.service.asked <= 7


async def test_a_bug_of_ours_ends_nothing(scene: Scene) -> None:
    await scene.look()
    scene.service.now = RuntimeError("a bug")
    assert await scene.look(61) == "one"
    assert scene.events[-1]["cause"] == "internal error"


async def test_a_reload_while_the_service_is_away_goes_on_with_the_last_value(scene: Scene) -> None:
    await scene.look()
    newer = scene.made()
    newer.failed("away", 0.0)
    assert scene.source.take_over(newer)
    assert scene.source.current().reveal() == b"one"


async def test_a_reload_takes_a_newer_value_over_and_none_of_another_service(scene: Scene) -> None:
    await scene.look()
    newer = scene.made()
    scene.clock.step(1)
    scene.service.now = Read(Secret(b"two"), "2")
    await ask(newer, HttpFetch(user_agent="test"))
    assert scene.source.take_over(newer)
    assert scene.source.current().reveal() == b"two"
    assert not scene.source.take_over(scene.made(key="another"))
