"""What each kind of minted credential asks of its token endpoint: every field, as its RFC or its provider's page has it."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any, cast

import jwt
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import TypeAdapter, ValidationError

from gateway.core.decision import AccessRequest, Permit
from gateway.core.errors import DependencyDown, GatewayError, Ungranted
from gateway.core.message import NO_BODY, Outbound
from gateway.core.ports import Fetched, Injector
from gateway.core.principal import Identity, Principal
from gateway.credentials.assertion import thumbprint
from gateway.credentials.injectors import build
from gateway.credentials.model import Credential
from tests.issuer import NOW, FixedSecret, FrozenClock, Posted, RsaKey, ScriptedFetch, bearer, mint, request
from tests.minting import workshop

KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
URL = "https://mint.test/token"
GOOD = {"access_token": "minted-1", "token_type": "Bearer", "expires_in": 3600}
FORM = "application/x-www-form-urlencoded"
IDENTITY = mint(RsaKey(), {"iss": "https://k8s", "sub": "gw", "exp": int(NOW) + 600})


def answer(members: Any, status: int = 200) -> Fetched:
    return Fetched(status, {}, json.dumps(members).encode())


class Bench:
    """One injector, its endpoint, its clock and its secrets by name."""

    def __init__(self, secrets: dict[str, bytes], *answers: tuple[str, Any], **keys: Any) -> None:
        self.clock = FrozenClock()
        self.fetch = ScriptedFetch(
            {url: said if isinstance(said, Fetched) else answer(said) for url, said in answers or [(URL, GOOD)]}
        )
        self.secrets = {name: FixedSecret(value, f"env:{name}") for name, value in secrets.items()}
        credential = TypeAdapter[Any](Credential).validate_python(keys)
        shop = workshop(lambda reference: self.secrets[reference.env], fetch=self.fetch, clock=self.clock)
        self.injector: Injector = build("cred", credential, shop)

    async def inject(self, method: str = "GET", target: bytes = b"/a", permit: Permit | None = None) -> Outbound:
        outbound = Outbound(method=method, target=target, headers=[], body=NO_BODY, request=request())
        coming = self.injector.inject(outbound, permit or cast("Permit", None))
        if coming is not None:
            await coming
        return outbound

    async def posted(self, **asked: Any) -> Posted:
        """What reaches the endpoint, once a token was injected."""
        outbound = await self.inject(**asked)
        assert outbound.lines[0].startswith(b"authorization: Bearer ")
        assert outbound.secrets[0].replaced(outbound.lines[0]) != outbound.lines[0]
        return self.fetch.posted[-1]


async def settled() -> None:
    """What began in the background is over: nothing of it waits for anything real."""
    for _ in range(5):
        await asyncio.sleep(0)


def claims(token: str, audience: str) -> dict[str, Any]:
    options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    return dict(jwt.decode(token, KEY.public_key(), ["RS256", "PS256"], audience=audience, options=cast("Any", options)))


def permit(token: str | None = None, *, id: str = "alice", scheme: str = "jwt", expires: float | None = None) -> Permit:
    asked = request(*([bearer(token)] if token is not None else []))
    principal = Principal(Identity(id=id, issuer="corp", scheme=scheme, expires=expires))
    return Permit(principal, AccessRequest(asked, "r", "u", {}, NOW), None)


# Client credentials


def client_credentials(**client: Any) -> dict[str, Any]:
    return {"inject": "client_credentials", "token_url": URL, "client": client}


async def test_client_secret_basic_form_encodes_both_before_base64() -> None:
    """RFC 6749 2.3.1 and appendix B."""
    bench = Bench({"S": "s:é+% /".encode()}, **client_credentials(id="gate:way", secret={"env": "S"}))
    posted = await bench.posted()
    assert (posted.url, posted.content_type, posted.form) == (URL, FORM, {"grant_type": "client_credentials"})
    assert posted.headers == {"authorization": "Basic " + base64.b64encode(b"gate%3Away:s%3A%C3%A9%2B%25+%2F").decode()}


async def test_client_secret_post_sends_both_as_parameters() -> None:
    bench = Bench({"S": b"s+&="}, **client_credentials(id="gw", auth="client_secret_post", secret={"env": "S"}))
    posted = await bench.posted()
    assert posted.form == {"grant_type": "client_credentials", "client_id": "gw", "client_secret": "s+&="}
    assert posted.headers == {}


async def test_a_replaced_client_secret_is_sent_with_the_next_request_for_a_token() -> None:
    bench = Bench({"S": b"old"}, **client_credentials(id="gw", auth="client_secret_post", secret={"env": "S"}))
    assert (await bench.posted()).form["client_secret"] == "old"
    bench.secrets["S"].replace(b"new")
    bench.clock.advance(3600)
    assert (await bench.posted()).form["client_secret"] == "new"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
async def test_private_key_jwt_says_who_we_are_to_this_endpoint_alone(algorithm: str) -> None:
    """RFC 7523 2.2 and 3."""
    keys = {"id": "gw", "auth": "private_key_jwt", "private_key": {"env": "K"}, "algorithm": algorithm, "key_id": "k1"}
    posted = await Bench({"K": PEM}, **client_credentials(**keys)).posted()
    assert posted.form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert posted.form["client_id"] == "gw"
    said = posted.form["client_assertion"]
    assert jwt.get_unverified_header(said) == {"alg": algorithm, "typ": "JWT", "kid": "k1"}
    told = claims(said, URL)
    assert (told["iss"], told["sub"], told["exp"] - told["iat"], told["iat"]) == ("gw", "gw", 300, int(NOW))
    assert len(told["jti"]) >= 16


async def test_tls_client_auth_shows_the_certificate_and_names_the_client(tmp_path: Path) -> None:
    """RFC 8705 2."""
    keys = {
        "id": "gw",
        "auth": "tls_client_auth",
        "certificate": str(tmp_path / "c.pem"),
        "certificate_key": {"file": str(tmp_path / "c.key")},
    }
    posted = await Bench({}, **client_credentials(**keys)).posted()
    assert posted.identity == (str(tmp_path / "c.pem"), str(tmp_path / "c.key"))
    assert posted.form == {"grant_type": "client_credentials", "client_id": "gw"}


async def test_scope_audience_and_resource_are_asked_for() -> None:
    more = {"scope": ["a", "b:c"], "audience": ["x"], "resource": ["https://api.test/"]}
    posted = await Bench({"S": b"s"}, **client_credentials(id="gw", secret={"env": "S"}), **more).posted()
    assert posted.form == {"grant_type": "client_credentials", "scope": "a b:c", "audience": "x", "resource": "https://api.test/"}


async def test_the_endpoint_is_called_under_the_guard_that_the_configuration_states() -> None:
    bench = Bench({"S": b"s"}, **client_credentials(id="gw", secret={"env": "S"}), dial={"allow_private": True, "ca": "/ca.pem"})
    await bench.posted()
    assert bench.fetch.options == [{"limit": 65536, "timeout": 10.0, "plaintext": False, "private": True, "ca": "/ca.pem"}]


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"id": "gw"}, "needs `secret`"),
        ({"id": "gw", "auth": "private_key_jwt", "secret": {"env": "S"}}, "needs `private_key`"),
        ({"id": "gw", "auth": "private_key_jwt", "private_key": {"env": "K"}, "secret": {"env": "S"}}, "no use for `secret`"),
        ({"id": "gw", "auth": "tls_client_auth", "certificate": "c.pem"}, "needs `certificate_key`"),
        ({"id": "gw", "auth": "none", "secret": {"env": "S"}}, "no use for `secret`"),
        ({"id": "g\nw", "secret": {"env": "S"}}, "pattern"),
    ],
)
def test_a_client_that_cannot_prove_itself_is_no_configuration(keys: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        TypeAdapter[Any](Credential).validate_python(client_credentials(**keys))


@pytest.mark.parametrize(
    "url",
    [
        "http://mint.test/token",
        "https://user:pass@mint.test/",
        "https://{tenant}.test/",
        "https://${HOST}/",
        "https://mint.test/#f",
        "ftp://mint.test/",
        "//mint.test/",
        "mint.test",
        "https://",
        "https://mint.test:99999/",
        "https://a b/",
        "https://exämple.test/",
    ],
)
def test_a_token_url_is_written_out_and_https(url: str) -> None:
    """Row 126: CVE-2026-45609, token URLs from untrusted interpolation."""
    keys = client_credentials(id="gw", secret={"env": "S"}) | {"token_url": url}
    with pytest.raises(ValidationError):
        TypeAdapter[Any](Credential).validate_python(keys)


async def test_a_secret_that_cannot_be_had_is_an_outage_and_nothing_is_asked() -> None:
    bench = Bench({"S": b"s"}, **client_credentials(id="gw", secret={"env": "S"}))
    bench.secrets["S"].replace(None)
    with pytest.raises(DependencyDown, match="env:S"):
        await bench.inject()
    assert bench.fetch.posted == []


# Refresh token


def refresh(**more: Any) -> dict[str, Any]:
    client = {"id": "gw", "secret": {"env": "S"}}
    return {"inject": "refresh_token", "token_url": URL, "client": client, "refresh_token": {"env": "R"}, **more}


async def test_a_refresh_token_that_stays_is_sent_each_time() -> None:
    """RFC 6749 6."""
    bench = Bench({"S": b"s", "R": b"refresh-1"}, (URL, {**GOOD, "refresh_token": "refresh-1"}), **refresh(scope=["a"]))
    posted = await bench.posted()
    assert posted.form == {"grant_type": "refresh_token", "refresh_token": "refresh-1", "scope": "a"}


async def test_a_server_that_rotates_is_refused_with_what_to_do() -> None:
    """RFC 9700 4.14.2: sending the old one again would look like theft."""
    bench = Bench({"S": b"s", "R": b"refresh-1"}, (URL, {**GOOD, "refresh_token": "canary-refresh-2"}), **refresh())
    with pytest.raises(DependencyDown, match=r"rotates refresh tokens.*store it as a grant") as caught:
        await bench.inject()
    assert "canary" not in caught.value.detail


# JWT bearer


async def test_a_jwt_bearer_grant_speaks_about_a_subject() -> None:
    """RFC 7523 2.1."""
    keys = {"inject": "jwt_bearer", "token_url": URL, "issuer": "gw", "subject": "bot", "private_key": {"env": "K"}, "scope": ["a"]}
    posted = await Bench({"K": PEM}, **keys).posted()
    assert posted.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert posted.form["scope"] == "a"
    told = claims(posted.form["assertion"], URL)
    assert (told["iss"], told["sub"], told["exp"]) == ("gw", "bot", int(NOW) + 300)
    assert sorted(posted.form) == ["assertion", "grant_type", "scope"]


# Token exchange


def exchange(**more: Any) -> dict[str, Any]:
    return {"inject": "token_exchange", "token_url": URL, "client": {"id": "gw", "secret": {"env": "S"}}, **more}


PRESENTED = mint(RsaKey())


async def test_token_exchange_sends_what_the_principal_presented() -> None:
    """RFC 8693 2.1."""
    bench = Bench({"S": b"s"}, **exchange(audience=["orders"], scope=["read"], resource=["https://api.test"]))
    posted = await bench.posted(permit=permit(PRESENTED))
    assert posted.form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": PRESENTED,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": "orders",
        "scope": "read",
        "resource": "https://api.test",
    }


async def test_each_principal_and_each_presented_token_has_its_own() -> None:
    """Row 107: what a token was minted from is part of what it is found by."""
    bench = Bench({"S": b"s"}, **exchange())
    other = mint(RsaKey())
    for who, token in [("alice", PRESENTED), ("bob", PRESENTED), ("alice", other), ("alice", PRESENTED), ("bob", PRESENTED)]:
        await bench.inject(permit=permit(token, id=who))
    assert len(bench.fetch.posted) == 3


async def test_an_exchanged_token_ends_with_the_presented_one() -> None:
    bench = Bench({"S": b"s"}, **exchange())
    await bench.inject(permit=permit(PRESENTED, expires=NOW + 100))
    bench.clock.advance(96)
    bench.fetch.answers[URL] = answer({"error": "invalid_grant"}, 400)
    with pytest.raises(Ungranted):
        await bench.inject(permit=permit(PRESENTED, expires=NOW + 100))


@pytest.mark.parametrize(
    "asked",
    [
        permit(None),
        permit("opaque"),
        permit(PRESENTED, scheme="api_key"),
        permit(PRESENTED, scheme="mtls"),
        permit(PRESENTED, scheme="anonymous"),
        permit(PRESENTED, expires=NOW - 1),
    ],
)
async def test_who_presented_no_jwt_has_nothing_to_exchange(asked: Permit) -> None:
    bench = Bench({"S": b"s"}, **exchange())
    with pytest.raises(Ungranted) as caught:
        await bench.inject(permit=asked)
    assert (caught.value.status, bench.fetch.posted) == (403, [])


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_grant", Ungranted),
        ("invalid_target", Ungranted),
        ("access_denied", Ungranted),
        ("invalid_client", DependencyDown),
        ("unauthorized_client", DependencyDown),
        ("server_error", DependencyDown),
    ],
)
async def test_a_subject_that_is_refused_is_told_from_an_outage(code: str, kind: type[GatewayError]) -> None:
    bench = Bench({"S": b"s"}, (URL, answer({"error": code}, 400)), **exchange())
    with pytest.raises(kind) as caught:
        await bench.inject(permit=permit(PRESENTED))
    assert type(caught.value) is kind
    assert PRESENTED not in str(caught.value)


async def test_a_token_of_another_type_than_asked_for_is_not_used() -> None:
    issued = {**GOOD, "issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}
    bench = Bench({"S": b"s"}, (URL, issued), **exchange())
    with pytest.raises(DependencyDown, match="another type"):
        await bench.inject(permit=permit(PRESENTED))


# Azure


LOGIN = "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token"


def azure(**more: Any) -> dict[str, Any]:
    shared = {"inject": "azure", "tenant": "contoso.example", "client_id": "11-22"}
    return {**shared, "scope": "https://graph.microsoft.com/.default", **more}


async def test_azure_by_secret() -> None:
    posted = await Bench({"S": b"s"}, (LOGIN, GOOD), **azure(secret={"env": "S"})).posted()
    assert posted.url == LOGIN
    assert posted.form == {
        "grant_type": "client_credentials",
        "client_id": "11-22",
        "client_secret": "s",
        "scope": "https://graph.microsoft.com/.default",
    }


async def test_azure_by_certificate_signs_with_ps256_and_names_it(tmp_path: Path) -> None:
    certificate = trustme.CA().cert_pem.bytes()
    (tmp_path / "c.pem").write_bytes(certificate)
    bench = Bench({"K": PEM}, (LOGIN, GOOD), **azure(private_key={"env": "K"}, certificate=str(tmp_path / "c.pem")))
    said = (await bench.posted()).form["client_assertion"]
    assert jwt.get_unverified_header(said) == {"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint(certificate)}
    told = claims(said, LOGIN)
    assert (told["iss"], told["sub"]) == ("11-22", "11-22")
    assert told["exp"] - told["nbf"] <= 600


async def test_azure_by_another_issuers_token_reads_it_anew() -> None:
    bench = Bench({"T": IDENTITY.encode() + b"\n"}, (LOGIN, GOOD), **azure(token={"env": "T"}))
    form = (await bench.posted()).form
    assert (form["client_assertion"], form["client_id"]) == (IDENTITY, "11-22")
    bench.secrets["T"].replace(b"a.b.c")
    bench.clock.advance(3600)
    assert (await bench.posted()).form["client_assertion"] == "a.b.c"


@pytest.mark.parametrize("more", [{}, {"secret": {"env": "S"}, "token": {"env": "T"}}, {"private_key": {"env": "K"}}], ids=repr)
def test_azure_takes_exactly_one_proof(more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[Any](Credential).validate_python(azure(**more))


# OpenAI, Anthropic, projected tokens


async def test_openai_exchanges_an_identity_token_as_json() -> None:
    url = "https://auth.openai.com/oauth/token"
    keys = {"inject": "openai", "identity_provider_id": "idp_1", "service_account_id": "sa_1", "token": {"env": "T"}}
    posted = await Bench({"T": IDENTITY.encode()}, (url, GOOD), **keys).posted()
    assert posted.content_type == "application/json"
    assert json.loads(posted.body) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": IDENTITY,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "identity_provider_id": "idp_1",
        "service_account_id": "sa_1",
    }


async def test_anthropic_exchanges_an_identity_token_and_says_oauth_with_each_request() -> None:
    url = "https://api.anthropic.com/v1/oauth/token"
    organization = "5a7c0000-0000-4000-8000-000000000000"
    ids = {
        "federation_rule_id": "fdrl_1",
        "organization_id": organization,
        "service_account_id": "svac_1",
        "workspace_id": "default",
    }
    bench = Bench({"T": IDENTITY.encode()}, (url, GOOD), inject="anthropic", token={"env": "T"}, **ids)
    outbound = await bench.inject()
    posted = bench.fetch.posted[0]
    assert json.loads(posted.body) == {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": IDENTITY, **ids}
    assert posted.headers == {"anthropic-beta": "oauth-2025-04-20,oidc-federation-2026-04-01"}
    assert b"".join(outbound.lines) == b"authorization: Bearer minted-1\r\nanthropic-beta: oauth-2025-04-20\r\n"


@pytest.mark.parametrize("token", [b"opaque", b"", b"a.b.c" * 4000, "ä.b.c".encode(), b"\xff.a.b"])
async def test_what_is_no_jwt_is_not_sent_to_anybody(token: bytes) -> None:
    keys = {"inject": "openai", "identity_provider_id": "i", "service_account_id": "s", "token": {"env": "T"}}
    bench = Bench({"T": token}, **keys)
    with pytest.raises(DependencyDown, match="env:T"):
        await bench.inject()
    assert bench.fetch.posted == []


async def test_a_projected_token_goes_out_as_it_is_and_is_looked_at_again() -> None:
    bench = Bench({"T": IDENTITY.encode() + b"\n"}, inject="projected_token", token={"env": "T"})
    assert (await bench.inject()).lines == [b"authorization: Bearer " + IDENTITY.encode() + b"\r\n"]
    renewed = mint(RsaKey(), {"exp": int(NOW) + 1200})
    bench.secrets["T"].replace(renewed.encode())
    bench.clock.advance(61)
    await bench.inject()
    await settled()
    assert (await bench.inject()).lines == [b"authorization: Bearer " + renewed.encode() + b"\r\n"]


@pytest.mark.parametrize("exp", [int(NOW), int(NOW) - 1, None, "soon", True, [1]])
async def test_a_projected_token_that_is_over_or_endless_is_not_sent(exp: object) -> None:
    bench = Bench({"T": mint(RsaKey(), {"sub": "x", "exp": exp}).encode()}, inject="projected_token", token={"env": "T"})
    with pytest.raises(DependencyDown):
        await bench.inject()


# Google


def key_file(**more: Any) -> bytes:
    members = {"type": "service_account", "client_email": "gw@p.iam.gserviceaccount.com", "private_key_id": "k1"}
    return json.dumps({**members, "private_key": PEM.decode(), "token_uri": "https://evil.test/token", **more}).encode()


GOOGLE = "https://oauth2.googleapis.com/token"


async def test_a_google_service_account_speaks_for_itself_to_google_alone() -> None:
    """Row 126: the endpoint that the key file names is not believed."""
    keys = {"inject": "google_service_account", "key": {"env": "F"}, "scope": ["a", "b"], "subject": "u@example.com"}
    posted = await Bench({"F": key_file()}, (GOOGLE, GOOD), **keys).posted()
    assert posted.url == GOOGLE
    assert posted.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert jwt.get_unverified_header(posted.form["assertion"]) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    assert claims(posted.form["assertion"], GOOGLE) == {
        "iss": "gw@p.iam.gserviceaccount.com",
        "scope": "a b",
        "aud": GOOGLE,
        "iat": int(NOW),
        "exp": int(NOW) + 3600,
        "sub": "u@example.com",
    }


async def test_a_replaced_key_file_is_used_from_then_on() -> None:
    bench = Bench({"F": key_file()}, (GOOGLE, GOOD), inject="google_service_account", key={"env": "F"}, scope=["a"])
    await bench.posted()
    bench.secrets["F"].replace(key_file(private_key_id="k2", client_email="other@p.iam.gserviceaccount.com"))
    bench.clock.advance(3600)
    said = (await bench.posted()).form["assertion"]
    assert jwt.get_unverified_header(said)["kid"] == "k2"
    assert claims(said, GOOGLE)["iss"] == "other@p.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    "raw", [b"", b"canary", key_file(type="authorized_user"), key_file(client_email=7), key_file(private_key="canary")]
)
def test_what_is_no_key_file_is_refused_at_load(raw: bytes) -> None:
    with pytest.raises(ValueError, match="env:F") as caught:
        Bench({"F": raw}, inject="google_service_account", key={"env": "F"}, scope=["a"])
    assert "canary" not in str(caught.value)


STS, ACT = "https://sts.googleapis.com/v1/token", "projects/-/serviceAccounts/gw@p.iam.gserviceaccount.com:generateAccessToken"
PROVIDER = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k"


async def test_google_federation_exchanges_and_then_acts_as_a_service_account() -> None:
    act = f"https://iamcredentials.googleapis.com/v1/{ACT}"
    keys = {"inject": "google_federation", "provider": PROVIDER, "token": {"env": "T"}, "scope": ["a"]}
    acting = {"accessToken": "acting", "expireTime": "2027-01-15T09:00:00Z"}
    bench = Bench({"T": IDENTITY.encode()}, (STS, GOOD), (act, acting), **keys, service_account="gw@p.iam.gserviceaccount.com")
    outbound = await bench.inject()
    first, second = bench.fetch.posted
    assert first.form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": PROVIDER,
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "subject_token": IDENTITY,
    }
    assert second.headers == {"authorization": "Bearer minted-1"}
    assert json.loads(second.body) == {"scope": ["a"], "lifetime": "3600s"}
    assert outbound.lines == [b"authorization: Bearer acting\r\n"]


async def test_google_federation_without_an_account_is_the_identity_itself() -> None:
    keys = {"inject": "google_federation", "provider": PROVIDER, "token": {"env": "T"}, "scope": ["a", "b"]}
    posted = await Bench({"T": IDENTITY.encode()}, (STS, GOOD), **keys).posted()
    assert posted.form["scope"] == "a b"


@pytest.mark.parametrize("stated", ["2020-01-01T00:00:00Z", "2027-01-15T09:00:00", "soon", None, 7], ids=repr)
async def test_a_token_whose_end_is_not_to_come_is_none(stated: object) -> None:
    act = f"https://iamcredentials.googleapis.com/v1/{ACT}"
    keys = {"inject": "google_federation", "provider": PROVIDER, "token": {"env": "T"}, "scope": ["a"]}
    answers = [(STS, GOOD), (act, {"accessToken": "acting", "expireTime": stated})]
    bench = Bench({"T": IDENTITY.encode()}, *answers, **keys, service_account="gw@p.iam.gserviceaccount.com")
    with pytest.raises(DependencyDown):
        await bench.inject()
