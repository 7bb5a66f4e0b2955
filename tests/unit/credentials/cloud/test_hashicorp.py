"""Logging in to HashiCorp Vault and OpenBao: a stand-in that knows its tokens, and a clock that a test turns."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.credentials.cloud.hashicorp import VaultClient
from gateway.credentials.cloud.model import VaultServer
from gateway.fetch import HttpFetch
from tests.clouds import Asked, Reply, Service, serving
from tests.issuer import FrozenClock

ROLE, SECRET = "role-canary", "secret-id-canary"


class Server:
    """Tokens, each good for a hundred seconds; `lives` False refuses all of them."""

    def __init__(self) -> None:
        self.good: set[str] = set()
        self.logins = self.renewals = 0
        self.life = 100
        self.renews: Reply | None = None
        self.login: Reply | None = None

    def __call__(self, asked: Asked) -> Reply:
        assert asked.header("x-vault-request") == "true"
        match asked.target:
            case "/v1/auth/approle/login":
                assert asked.header("x-vault-token") is None
                assert asked.json() == {"role_id": ROLE, "secret_id": SECRET}
                return self.login or self._logged_in()
            case "/v1/auth/kubernetes/login":
                assert asked.json() == {"role": "gateway", "jwt": SECRET}
                return self._logged_in()
            case "/v1/auth/token/renew-self":
                assert asked.header("x-vault-token") in self.good
                self.renewals += 1
                return self.renews or (
                    200,
                    {"auth": {"client_token": asked.header("x-vault-token"), "lease_duration": 100, "renewable": True}},
                )
            case _:
                good = asked.header("x-vault-token") in self.good
                return (200, {"data": "kept"}) if good else (403, {"errors": ["permission denied"]})

    def _logged_in(self) -> Reply:
        self.logins += 1
        self.good.add(f"token-{self.logins}")
        return 200, {"auth": {"client_token": f"token-{self.logins}", "lease_duration": self.life, "renewable": True}}


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def service(server: Server) -> Iterator[Service]:
    with serving(server) as service:
        yield service


class Source:
    """A secret that is given."""

    name = "env:SECRET"

    def __init__(self, value: str) -> None:
        self.value = Secret(value.encode())

    def current(self) -> Secret:
        return self.value


class Asking:
    """A client, as it asks from a test."""

    def __init__(self, service: Service, **login: Any) -> None:
        self.clock = FrozenClock()
        model = VaultServer.model_validate({"url": service.url, "allow_private": True, "allow_plaintext": True, **login})
        values = {"ROLE": ROLE, "SECRET": SECRET + "\n"}
        self.client = VaultClient(model, lambda reference: Source(values[reference.env]), self.clock.monotonic)  # type: ignore[union-attr]
        self.fetch = HttpFetch(user_agent="test")

    async def __call__(self) -> int:
        return (await self.client.ask(self.fetch, "secret/data/x")).status


APPROLE = {"approle": {"role_id": {"env": "ROLE"}, "secret_id": {"env": "SECRET"}}}


@pytest.fixture
def asking(service: Service) -> Asking:
    return Asking(service, **APPROLE)


async def test_one_login_serves_until_its_token_grows_old_and_is_renewed(server: Server, asking: Asking) -> None:
    assert [await asking(), await asking()] == [200, 200]
    assert (server.logins, server.renewals) == (1, 0)
    asking.clock.advance(70)
    assert [await asking(), await asking()] == [200, 200]
    assert (server.logins, server.renewals) == (1, 1)


async def test_a_token_that_has_ended_is_replaced_by_a_login(server: Server, asking: Asking) -> None:
    await asking()
    asking.clock.advance(200)
    assert await asking() == 200
    assert (server.logins, server.renewals) == (2, 0)


async def test_a_token_that_is_revoked_in_the_middle_is_replaced_once(server: Server, asking: Asking) -> None:
    await asking()
    server.good.clear()
    assert await asking() == 200
    assert server.logins == 2


async def test_a_refusal_that_no_login_helps_against_is_told_after_one_more(server: Server, service: Service) -> None:
    asking = Asking(service, **APPROLE)
    server.login = 200, {"auth": {"client_token": "of no use", "lease_duration": 100, "renewable": True}}
    assert await asking() == 403
    assert [asked.target for asked in service.asked].count("/v1/auth/approle/login") == 2


async def test_a_renewal_that_is_refused_becomes_a_login(server: Server, asking: Asking) -> None:
    await asking()
    asking.clock.advance(70)
    server.renews = 403, {"errors": ["permission denied"]}
    assert await asking() == 200
    assert server.logins == 2


async def test_a_renewal_at_the_end_of_the_longest_life_becomes_a_login(server: Server, asking: Asking) -> None:
    await asking()
    asking.clock.advance(70)
    server.renews = 200, {"auth": {"client_token": "token-1", "lease_duration": 1, "renewable": True}}
    assert await asking() == 200
    assert server.logins == 2


async def test_a_token_serves_on_where_the_renewal_fails(server: Server, asking: Asking) -> None:
    await asking()
    asking.clock.advance(70)
    server.renews = 500, {}
    assert await asking() == 200
    assert server.logins == 1


async def test_kubernetes_logs_in_with_the_pods_token(server: Server, service: Service) -> None:
    assert await Asking(service, kubernetes={"role": "gateway", "token": {"env": "SECRET"}})() == 200
    assert server.logins == 1


LOGINS: dict[str, Reply] = {
    "400": (400, {"errors": [f"invalid {SECRET}"]}),
    "no auth": (200, {"auth": None}),
    "no token": (200, {"auth": {"client_token": "", "lease_duration": 1}}),
    "a token with a line break": (200, {"auth": {"client_token": "a\r\nb", "lease_duration": 1}}),
    "no life": (200, {"auth": {"client_token": "a", "lease_duration": "long"}}),
    "a negative life": (200, {"auth": {"client_token": "a", "lease_duration": -1}}),
    "no JSON": (200, b"<html>"),
    "too long": (200, b" " * 40_000),
    "a redirect": (307, b""),
}


@pytest.mark.parametrize("login", LOGINS.values(), ids=LOGINS.keys())
async def test_a_login_that_is_not_understood_is_told_without_its_words(server: Server, asking: Asking, login: Reply) -> None:
    server.login = login
    with pytest.raises(DependencyDown) as told:
        await asking()
    assert SECRET not in str(told.value.detail)


@pytest.mark.parametrize("digits", [18, 309])
async def test_a_life_of_more_seconds_than_clocks_count_is_a_long_one(server: Server, asking: Asking, digits: int) -> None:
    life = b"1" + b"0" * digits
    server.login = 200, b'{"auth": {"client_token": "token-1", "lease_duration": %b, "renewable": true}}' % life
    server.good.add("token-1")
    assert [await asking(), await asking()] == [200, 200]


@pytest.mark.parametrize(
    "login",
    [
        {},
        {**APPROLE, "token": {"env": "ROLE"}},
        {"approle": {**APPROLE["approle"], "mount": "../sys"}},
        {"approle": {**APPROLE["approle"], "mount": "a/.."}},
        {"token": {"env": "ROLE"}, "namespace": "a/../b"},
    ],
    ids=["none", "two", "a mount above", "a mount with dots", "a namespace with dots"],
)
def test_a_login_that_cannot_be_is_refused(login: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VaultServer.model_validate({"url": "https://vault.test", **login})
