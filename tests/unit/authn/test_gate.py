"""Which presented credential counts, and what happens to the others (CONTRACT 3)."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn import SCHEMES
from gateway.authn.authentication import Authentication
from gateway.authn.gate import Gate
from gateway.core.errors import BadRequest, ConfigError, Forbidden, GatewayError, Unauthenticated
from gateway.core.principal import Principal
from gateway.core.reason import Reason
from gateway.store.once import MemoryOnce
from tests.fakes import stored_key
from tests.issuer import (
    JWKS_URL,
    NOW,
    PEPPER,
    EdKey,
    FixedSecret,
    FrozenClock,
    ScriptedFetch,
    answer,
    authentication,
    bearer,
    claims,
    grant,
    issuer_model,
    jwks,
    mint,
    request,
)
from tests.unit.authn.certificates import client_certificate

MISSING = ((b"www-authenticate", b'Bearer realm="gateway"'),)
INVALID = ((b"www-authenticate", b'Bearer realm="gateway", error="invalid_token"'),)
KEY = EdKey()
SHOWN_ELSEWHERE = {"introspection", "hmac", "signature", "session"}
"""Schemes that have a file of tests of their own."""
ALL = ("jwt.corp", "jwt.browser", "api_keys", "mtls")


PLACEHOLDERS = [
    b"lgp1_k~1~a",
    b"Bearer lgp1_k~1~a",
    b"token  lgp1_k~1~a",
    b"basic " + base64.b64encode(b"git:lgp1_k~1~a"),
    b"AWS4-HMAC-SHA256 Credential=LGPKAAAAAAAAAAAAAAAA/20261122/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=00",
]


class House:
    """Everything configured: a bearer issuer, a cookie issuer, API keys, certificates."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "keys.yaml"
        self.key, _ = stored_key(self.file, PEPPER, prefix="lgk", name="ci", now=NOW)
        self.token = mint(KEY)
        self.cookie_token = mint(KEY, claims(iss="https://browser.example/"))
        self.certificate = client_certificate(dns=["ci.example.org"])
        model = {
            "jwt": {
                "corp": issuer_model(),
                "browser": issuer_model(issuer="https://browser.example/", **{"from": [{"cookie": "sid"}]}),
                "elsewhere": issuer_model(issuer="https://elsewhere.example/"),
            },
            "api_keys": {"file": self.file, "pepper": {"env": "PEPPER"}},
            "mtls": {},
        }
        self.authentication = authentication(model, fetch=ScriptedFetch({JWKS_URL: answer(jwks(KEY))}))

    def gate(self, *accepted: str) -> Gate:
        return self.authentication.gate(accepted or ALL, anonymous=False, grant=grant)

    async def ask(self, *fields: tuple[bytes, bytes], accepted: tuple[str, ...] = ALL, **more: Any) -> Principal:
        return await self.gate(*accepted).authenticate(request(*fields, **more))

    async def refused(self, *fields: tuple[bytes, bytes], accepted: tuple[str, ...] = ALL, **more: Any) -> GatewayError:
        with pytest.raises(GatewayError) as caught:
            await self.ask(*fields, accepted=accepted, **more)
        return caught.value


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"))


def cookie(value: str) -> tuple[bytes, bytes]:
    return b"cookie", value.encode()


def api_key(value: str) -> tuple[bytes, bytes]:
    return b"x-api-key", value.encode()


class TestAccepted:
    async def test_a_bearer_token(self, house: House) -> None:
        principal = await house.ask(bearer(house.token))
        assert (principal.issuer, principal.id, principal.scheme) == ("corp", "alice", "jwt")

    @pytest.mark.parametrize("scheme", [b"bearer ", b"BEARER ", b"Bearer   "])
    async def test_the_scheme_is_read_without_regard_to_case(self, scheme: bytes, house: House) -> None:
        assert (await house.ask((b"authorization", scheme + house.token.encode()))).id == "alice"

    async def test_an_api_key_in_its_header_or_as_bearer(self, house: House) -> None:
        for field in (api_key(house.key), bearer(house.key)):
            principal = await house.ask(field)
            assert (principal.issuer, principal.id, principal.scheme) == ("api_keys", "ci", "api_key")

    async def test_an_api_key_as_the_access_key_of_an_aws_signature(self, house: House) -> None:
        signed = f"AWS4-HMAC-SHA256 Credential={house.key}/20261122/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=00"
        assert (await house.ask((b"authorization", signed.encode()))).scheme == "api_key"

    @pytest.mark.parametrize("id", ["AKIDEXAMPLE", "", "lgk_unknown_0"])
    async def test_another_access_key_of_an_aws_signature_is_refused(self, id: str, house: House) -> None:
        signed = f"AWS4-HMAC-SHA256 Credential={id}/20261122/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=00"
        assert isinstance(await house.refused((b"authorization", signed.encode())), Unauthenticated)

    async def test_a_token_is_none_within_an_aws_signature(self, house: House) -> None:
        signed = f"AWS4-HMAC-SHA256 Credential={house.token}/20261122/eu-west-1/s3/aws4_request"
        assert isinstance(await house.refused((b"authorization", signed.encode())), Unauthenticated)

    async def test_a_cookie(self, house: House) -> None:
        principal = await house.ask(cookie(f"theme=dark; sid={house.cookie_token}; lang=de"))
        assert (principal.issuer, principal.scheme) == ("browser", "jwt")

    async def test_a_certificate_where_nothing_else_is_presented(self, house: House) -> None:
        principal = await house.ask(certificate=house.certificate)
        assert (principal.issuer, principal.id, principal.scheme) == ("mtls", "ci.example.org", "mtls")

    async def test_another_credential_goes_before_the_certificate(self, house: House) -> None:
        assert (await house.ask(bearer(house.token), certificate=house.certificate)).scheme == "jwt"

    @pytest.mark.parametrize("value", PLACEHOLDERS)
    async def test_a_placeholder_in_authorization_is_no_credential_of_the_clients(self, value: bytes, house: House) -> None:
        field = (b"authorization", value)
        assert (await house.ask(field, certificate=house.certificate)).scheme == "mtls"
        assert (await house.ask(field, api_key(house.key))).scheme == "api_key"
        assert (await house.ask(field, cookie(f"sid={house.cookie_token}"))).issuer == "browser"
        assert (await house.refused(field)).reason is Reason.CREDENTIAL_MISSING
        twice = await house.refused(field, bearer(house.token), certificate=house.certificate)
        assert twice.reason is Reason.CREDENTIAL_AMBIGUOUS

    @pytest.mark.parametrize(
        "value", [b"Basic ????", b"Basic bGdwMV86YQ==", b"Bearer xlgp1_a", b"AWS4-HMAC-SHA256 Credential=lgp1_a/"]
    )
    async def test_what_only_has_a_placeholders_mark_somewhere_is_a_bad_credential(self, value: bytes, house: House) -> None:
        assert isinstance(await house.refused((b"authorization", value), certificate=house.certificate), Unauthenticated)

    async def test_anonymous_routes_ask_for_nothing_and_look_at_nothing(self, house: House) -> None:
        gate = house.authentication.gate((), anonymous=True, grant=grant)
        for fields in ((), (bearer("garbage"), bearer("twice"), api_key("x"))):
            principal = await gate.authenticate(request(*fields))
            assert (principal.issuer, principal.id, principal.scheme, principal.roles) == (
                "anonymous",
                "anonymous",
                "anonymous",
                (),
            )

    async def test_every_scheme_is_in_the_rooms_table(self, house: House) -> None:
        gate = house.authentication.gate((), anonymous=True, grant=grant)
        principals = [
            await house.ask(bearer(house.token)),
            await house.ask(api_key(house.key)),
            await house.ask(certificate=house.certificate),
            await gate.authenticate(request()),
        ]
        assert {principal.scheme for principal in principals} == SCHEMES.keys() - SHOWN_ELSEWHERE


class TestMissing:
    @pytest.mark.parametrize(
        "fields", [(), (cookie("theme=dark; sidx=1; sid"),), ((b"cookie", b""),)], ids=["nothing", "other cookies", "empty cookie"]
    )
    async def test_nothing_presented_is_401_without_an_error(self, fields: tuple[tuple[bytes, bytes], ...], house: House) -> None:
        error = await house.refused(*fields)
        assert (error.reason, error.headers) == (Reason.CREDENTIAL_MISSING, MISSING)

    async def test_a_certificate_that_is_not_asked_for_is_nothing(self, house: House) -> None:
        error = await house.refused(accepted=("jwt.corp",), certificate=house.certificate)
        assert error.reason is Reason.CREDENTIAL_MISSING


class TestAmbiguous:
    @pytest.mark.parametrize(
        "places",
        [
            ("bearer", "bearer"),
            ("bearer", "basic"),
            ("bearer", "key"),
            ("key", "key"),
            ("bearer", "cookie"),
            ("key", "cookie"),
            ("cookie", "cookie"),
            ("two cookies",),
            ("key as bearer", "key"),
            ("empty key", "bearer"),
            ("empty bearer", "cookie"),
        ],
        ids=" + ".join,
    )
    async def test_two_credentials_are_400_whatever_they_are_worth(self, places: tuple[str, ...], house: House) -> None:
        fields = {
            "bearer": bearer(house.token),
            "basic": (b"authorization", b"Basic YTpi"),
            "key": api_key(house.key),
            "key as bearer": bearer(house.key),
            "empty key": api_key(""),
            "empty bearer": (b"authorization", b""),
            "cookie": cookie(f"sid={house.cookie_token}"),
            "two cookies": cookie(f"sid={house.cookie_token}; sid={house.cookie_token}"),
        }
        error = await house.refused(*(fields[place] for place in places))
        assert isinstance(error, BadRequest)
        assert error.reason is Reason.CREDENTIAL_AMBIGUOUS

    async def test_a_header_that_carries_no_credential_may_repeat(self, house: House) -> None:
        assert (await house.ask(bearer(house.token), (b"accept", b"a"), (b"accept", b"b"))).id == "alice"


class TestRefused:
    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b"Bearer",
            b"Bearer ",
            b"Bearer x",
            b"Bearer a.b",
            b"Bearer a.b.c",
            b"Bearer a.b.c.d.e",
            b"Basic YTpi",
            b"DPoP a.b.c",
            b"Bearerx a.b.c",
            b"Bearer\ta.b.c",
            b"Bearer lgk_",
            b"Bearer ' OR 1=1--",
            b"Bearer \xff\x00",
            b"Negotiate",
        ],
        ids=repr,
    )
    async def test_anything_else_in_authorization_is_401(self, value: bytes, house: House) -> None:
        error = await house.refused((b"authorization", value), certificate=house.certificate)
        assert isinstance(error, Unauthenticated)
        assert (error.reason, error.headers) == (Reason.CREDENTIAL_INVALID, INVALID)

    async def test_a_token_in_the_key_header_is_401(self, house: House) -> None:
        assert (await house.refused(api_key(house.token))).status == 401

    async def test_a_failing_credential_is_never_skipped_for_a_good_certificate(self, house: House) -> None:
        for field in (bearer("bad"), api_key("bad"), cookie("sid=bad")):
            assert (await house.refused(field, certificate=house.certificate)).status == 401

    async def test_a_valid_credential_of_a_scheme_the_route_does_not_accept_is_401(self, house: House) -> None:
        others = {
            "jwt.corp": (api_key(house.key), bearer(house.key), cookie(f"sid={house.cookie_token}")),
            "jwt.browser": (bearer(house.token), bearer(house.cookie_token), api_key(house.key)),
            "api_keys": (bearer(house.token), cookie(f"sid={house.cookie_token}")),
            "mtls": (bearer(house.token), api_key(house.key), cookie(f"sid={house.cookie_token}")),
        }
        for accepted, fields in others.items():
            for field in fields:
                error = await house.refused(field, accepted=(accepted,), certificate=house.certificate)
                assert (error.status, error.headers) == (401, INVALID)

    async def test_a_token_counts_only_where_its_issuer_says_it_is_carried(self, house: House) -> None:
        assert (await house.refused(bearer(house.cookie_token))).status == 401
        assert (await house.refused(cookie(f"sid={house.token}"))).status == 401

    async def test_a_token_of_another_configured_issuer_is_401(self, house: House) -> None:
        token = mint(KEY, claims(iss="https://elsewhere.example/"))
        assert (await house.refused(bearer(token))).status == 401
        assert (await house.ask(bearer(token), accepted=("jwt.elsewhere",))).issuer == "elsewhere"

    async def test_an_unusable_certificate_is_401(self, house: House) -> None:
        assert (await house.refused(certificate=b"not a certificate")).headers == INVALID


class TestOrigin:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    async def test_reading_with_a_cookie_needs_no_origin(self, method: str, house: House) -> None:
        assert (await house.ask(cookie(f"sid={house.cookie_token}"), method=method)).issuer == "browser"

    @pytest.mark.parametrize(
        ("fields", "more"),
        [
            ([(b"origin", b"https://api.example.com")], {}),
            ([(b"origin", b"HTTPS://API.example.com")], {}),
            ([(b"sec-fetch-site", b"same-origin")], {}),
            ([(b"origin", b"null"), (b"sec-fetch-site", b"same-origin")], {}),
            ([(b"origin", b"https://api.example.com"), (b"sec-fetch-site", b"same-origin")], {}),
            ([(b"origin", b"https://api.example.com")], {"host": "api.example.com:443"}),
            ([(b"origin", b"https://api.example.com:8443")], {"host": "api.example.com:8443"}),
            ([(b"origin", b"http://api.example.com")], {"secure": False, "host": "api.example.com:80"}),
        ],
    )
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    async def test_writing_with_a_cookie_from_this_origin_is_fine(
        self, fields: list[tuple[bytes, bytes]], more: dict[str, Any], method: str, house: House
    ) -> None:
        assert (await house.ask(cookie(f"sid={house.cookie_token}"), *fields, method=method, **more)).issuer == "browser"

    @pytest.mark.parametrize(
        ("fields", "more"),
        [
            ([], {}),
            ([(b"origin", b"null")], {}),
            ([(b"origin", b"")], {}),
            ([(b"origin", b"https://evil.example")], {}),
            ([(b"origin", b"http://api.example.com")], {}),
            ([(b"origin", b"https://api.example.com.evil.example")], {}),
            ([(b"origin", b"https://api.example.com:8443")], {}),
            ([(b"origin", b"https://api.example.com")], {"secure": False}),
            ([(b"origin", b"https://api.example.com"), (b"origin", b"https://api.example.com")], {}),
            ([(b"sec-fetch-site", b"cross-site")], {}),
            ([(b"sec-fetch-site", b"same-site")], {}),
            ([(b"sec-fetch-site", b"none")], {}),
            ([(b"sec-fetch-site", b"same-origin"), (b"sec-fetch-site", b"same-origin")], {}),
            ([(b"origin", b"https://evil.example"), (b"sec-fetch-site", b"same-origin")], {}),
            ([(b"origin", b"https://api.example.com"), (b"sec-fetch-site", b"cross-site")], {}),
            ([(b"referer", b"https://api.example.com/")], {}),
        ],
    )
    async def test_writing_with_a_cookie_from_anywhere_else_is_403(
        self, fields: list[tuple[bytes, bytes]], more: dict[str, Any], house: House
    ) -> None:
        error = await house.refused(cookie(f"sid={house.cookie_token}"), *fields, method="POST", **more)
        assert isinstance(error, Forbidden)
        assert error.reason is Reason.ORIGIN_DENIED

    async def test_writing_with_a_bearer_token_needs_no_origin(self, house: House) -> None:
        assert (await house.ask(bearer(house.token), (b"origin", b"https://evil.example"), method="POST")).id == "alice"


NAMES = st.sampled_from([b"authorization", b"x-api-key", b"cookie", b"origin", b"sec-fetch-site", b"accept"])
VALUES = st.binary(max_size=60) | st.sampled_from(
    [
        b"Bearer " + mint(KEY).encode(),
        b"Bearer a.b.c",
        b"sid=a.b.c",
        b"sid=" + mint(KEY).encode(),
        b"lgk_aaaaaaaaaaaa_",
        b"Bearer lgk_x",
    ]
)


@given(fields=st.lists(st.tuples(NAMES, VALUES), max_size=5), certificate=st.none() | st.binary(max_size=40))
async def test_whatever_is_presented_the_answer_is_a_principal_or_a_refusal(
    fields: list[tuple[bytes, bytes]], certificate: bytes | None, tmp_path_factory: pytest.TempPathFactory, house: House
) -> None:
    try:
        principal = await house.ask(*fields, certificate=certificate)
    except (Unauthenticated, BadRequest):
        return
    assert principal.id == "alice"


class TestResources:
    def test_what_carries_credentials_is_one_list(self, house: House) -> None:
        assert house.authentication.credential_headers() == {b"authorization", b"x-api-key", b"dpop"}
        assert house.authentication.credential_cookies() == {b"sid"}

    async def test_without_schemes_only_authorization_carries_credentials(self) -> None:
        nothing = authentication({})
        await nothing.start()
        await nothing.close()
        assert nothing.credential_headers() == {b"authorization", b"dpop"}
        assert nothing.credential_cookies() == frozenset()
        assert nothing.status() == {}

    async def test_the_key_header_may_be_authorization_itself(self, tmp_path: Path) -> None:
        key, _ = stored_key(tmp_path / "k", PEPPER, prefix="lgk", name="ci", now=NOW)
        model = {"api_keys": {"header": "Authorization", "file": tmp_path / "k", "pepper": {"env": "P"}}}
        gate = authentication(model).gate(("api_keys",), anonymous=False, grant=grant)
        assert (await gate.authenticate(request(bearer(key)))).id == "ci"

    @pytest.mark.parametrize(
        "accepted", [(), ("jwt.nobody",), ("jwt",), ("corp",), ("basic",), ("anonymous",), ("jwt.corp", "api_key")], ids=repr
    )
    def test_what_is_not_configured_cannot_be_accepted(self, accepted: tuple[str, ...], house: House) -> None:
        house.authentication.gate((), anonymous=True, grant=grant)
        with pytest.raises(ConfigError):
            house.authentication.gate(accepted, anonymous=False, grant=grant)

    def test_a_route_is_anonymous_or_not(self, house: House) -> None:
        with pytest.raises(ConfigError, match="not both"):
            house.authentication.gate(("mtls",), anonymous=True, grant=grant)

    @pytest.mark.parametrize("accepted", ["api_keys", "mtls"])
    def test_a_scheme_without_its_section_cannot_be_accepted(self, accepted: str) -> None:
        with pytest.raises(ConfigError, match="not configured"):
            authentication({}).gate((accepted,), anonymous=False, grant=grant)

    async def test_background_work_begins_and_ends(self, house: House) -> None:
        await house.authentication.start()
        assert {"keys of corp", "api keys"} <= {task.get_name() for task in asyncio.all_tasks()}
        await house.authentication.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        status = house.authentication.status()
        assert status.keys() == {"jwt.corp", "jwt.browser", "jwt.elsewhere", "api_keys"}
        assert status["api_keys"]["keys"] == 1

    def test_every_problem_is_told_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "jwks.json").write_text("{}")
        (tmp_path / "keys.yaml").write_text("- id: short\n")
        model = {
            "jwt": {
                "file": issuer_model(jwks={"file": tmp_path / "jwks.json"}),
                "gone": issuer_model(issuer="https://b/", jwks={"file": tmp_path / "gone.json"}),
                "weak": issuer_model(issuer="https://c/", jwks=None, secret={"env": "WEAK"}, algorithms=["HS512"]),
            },
            "api_keys": {"file": tmp_path / "keys.yaml", "pepper": {"env": "PEPPER"}},
        }
        with pytest.raises(ConfigError) as caught:
            authentication(model, secrets=lambda reference: FixedSecret(PEPPER))
        text = str(caught.value)
        for part in (
            "jwt.file.jwks.file: not a JWK set",
            "jwt.gone.jwks.file",
            "No such file",
            "jwt.weak.secret",
            "64 are needed",
            "keys.yaml:1:",
        ):
            assert part in text
        assert PEPPER.decode() not in text

    @pytest.mark.parametrize(
        "value", [b"short", b"changeme" * 5, b"a" * 40, None], ids=["short", "placeholder", "repeating", "missing"]
    )
    def test_a_pepper_that_was_not_generated_is_refused_and_the_cure_named(self, value: bytes | None, tmp_path: Path) -> None:
        model = {"api_keys": {"file": tmp_path / "k", "pepper": {"env": "PEPPER"}}}
        with pytest.raises(ConfigError) as caught:
            authentication(model, secrets=lambda reference: FixedSecret(value, "env:PEPPER"))
        assert "authentication.api_keys.pepper: env:PEPPER" in str(caught.value)
        assert value is None or "openssl rand" in str(caught.value)

    def test_a_secret_that_cannot_be_found_is_a_configuration_error(self, tmp_path: Path) -> None:
        def absent(reference: Any) -> FixedSecret:
            raise ValueError("the variable PEPPER is not set")

        with pytest.raises(ConfigError, match="is not set"):
            authentication({"api_keys": {"file": tmp_path / "k", "pepper": {"env": "PEPPER"}}}, secrets=absent)

    def test_an_entry_without_any_keys_cannot_slip_past_the_model(self) -> None:
        from gateway.authn.model import Authentication as Model
        from gateway.authn.model import JwtIssuer

        entry = JwtIssuer.model_construct(issuer="https://a/", audience=["b"], jwks=None, secret=None, algorithms=["RS256"])
        model = Model.model_construct(jwt={"corp": entry}, api_keys=None, mtls=None, dpop=None)
        with pytest.raises(ConfigError, match="is missing"):
            Authentication(
                model,
                fetch=ScriptedFetch(),
                clock=FrozenClock(),
                metrics=_none(),
                secrets=lambda _: FixedSecret(PEPPER),
                once=MemoryOnce(FrozenClock(), _none()),
            )


def _none() -> Any:
    from tests.issuer import Counted

    return Counted()
