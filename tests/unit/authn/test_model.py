"""What a configuration of authentication may say."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.authn.jwks_model import Jwks
from gateway.authn.model import ApiKeys, Authentication, JwtIssuer
from gateway.authn.strength import StrongSecret, weakness
from gateway.core.errors import DependencyDown
from tests.issuer import PEPPER, FixedSecret, issuer_model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"jwks": None}, "exactly one of `jwks` and `secret`"),
        ({"secret": {"env": "S"}}, "exactly one of `jwks` and `secret`"),
        ({"algorithms": ["RS256", "HS256"]}, "HS256 needs `secret`"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"algorithms": []}, "algorithms"),
        ({"jwks": None, "secret": {"env": "S"}, "algorithms": ["HS256", "RS256"]}, "only HS256"),
        ({"jwks": {}}, "exactly one of `url`"),
        ({"jwks": {"url": "https://a/", "discovery": True}}, "exactly one of `url`"),
        ({"jwks": {"url": "http://a/"}}, "https is needed"),
        ({"jwks": {"url": "file:///etc/passwd"}}, "`file:` is refused"),
        ({"jwks": {"url": "data:application/json,{}"}}, "`data:` is refused"),
        ({"jwks": {"url": "ftp://a/keys", "allow_plaintext": True}}, "`ftp:` is refused"),
        ({"jwks": {"url": "https://user:pass@a/"}}, "userinfo"),
        ({"jwks": {"url": "https://@a/"}}, "userinfo"),
        ({"jwks": {"url": "https:///keys"}}, "written like"),
        ({"jwks": {"url": "https://a/#x"}}, "written like"),
        ({"jwks": {"url": "https://a b/"}}, "written like"),
        ({"jwks": {"url": "https://b\u00fccher.example/"}}, "written like"),
        ({"jwks": {"url": "https://a:99999/"}}, "[Pp]ort"),
        ({"jwks": {"discovery": True}, "issuer": "none"}, "discovery needs an issuer"),
        ({"jwks": {"discovery": True}, "issuer": "http://a/"}, "https is needed"),
        ({"audience": None}, "audience"),
        ({"audience": []}, "audience"),
        ({"audience": [""]}, "audience"),
        ({"audience": "https://api"}, "audience"),
        ({"issuer": ""}, "issuer"),
        ({"from": []}, "from"),
        ({"from": ["query"]}, "from"),
        ({"from": [{"cookie": "a b"}]}, "from"),
        ({"leeway": "10m"}, "leeway"),
        ({"max_bytes": "1MiB"}, "max_bytes"),
        ({"jku": "https://a"}, "jku"),
    ],
)
def test_an_entry_that_could_not_be_safe_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        JwtIssuer.model_validate(issuer_model(**change))


@pytest.mark.parametrize("name", ["api_keys", "mtls", "anonymous"])
def test_an_issuer_is_not_named_like_another_schemes(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        Authentication.model_validate({"jwt": {name: issuer_model()}})


def test_defaults_are_the_contracts() -> None:
    entry = JwtIssuer.model_validate(issuer_model())
    assert (entry.from_, entry.subject, entry.groups, entry.scopes, entry.scope_ceiling) == (
        ["bearer"],
        "sub",
        "groups",
        "scope",
        False,
    )
    assert (entry.types, entry.leeway, entry.required_claims, entry.max_bytes) == (["JWT", "at+jwt"], 30.0, ["exp"], 8192)


def test_plaintext_is_possible_where_the_entry_says_so() -> None:
    assert Jwks(url="http://127.0.0.1:8000/keys", allow_plaintext=True).url == "http://127.0.0.1:8000/keys"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "32 are needed"),
        (b"x" * 31, "32 are needed"),
        (b"ChangeMe-ChangeMe-ChangeMe-ChangeMe", "placeholder"),
        (b"0123456789-this-is-my-PASSWORD-0123456789", "placeholder"),
        (b"abcabcabcabcabcabcabcabcabcabcabcabc", "random"),
    ],
)
def test_a_secret_somebody_made_up_is_refused_without_being_told(value: bytes, reason: str) -> None:
    told = weakness(value)
    assert reason in told
    assert not value or value.decode() not in told


def test_a_generated_secret_is_fine() -> None:
    assert weakness(PEPPER) == ""


def test_a_secret_is_judged_whenever_it_changes() -> None:
    source = FixedSecret(PEPPER)
    secret = StrongSecret(source)
    assert (secret.current(), secret.name, secret.weakness()) == (PEPPER, "env:TEST", "")
    before = secret.revision
    source.replace(PEPPER)
    assert secret.revision == before
    source.replace(b"short")
    with pytest.raises(DependencyDown):
        secret.current()
    assert secret.revision > before
    source.replace(None)
    with pytest.raises(DependencyDown):
        secret.current()
    source.replace(PEPPER[::-1])
    assert secret.current() == PEPPER[::-1]


def test_api_keys_that_began_as_placeholders_do_would_authenticate_nobody() -> None:
    with pytest.raises(ValidationError, match="'lgp1' begins the placeholders"):
        ApiKeys.model_validate({"prefix": "lgp1", "file": "/keys", "pepper": {"env": "P"}})
