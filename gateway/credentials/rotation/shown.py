"""A question that carries a secret in the form in which requests carry it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gateway.core.echoes import Echoes
from gateway.core.message import fields_of
from gateway.core.secret import Secret
from gateway.credentials import model, sigv4
from gateway.credentials.cloud.aws import Place, Question, host_field, signed
from gateway.credentials.cookie import cookie_value
from gateway.credentials.header import Basic, bearer
from gateway.credentials.hmac_signature import HmacInjector
from gateway.credentials.oauth_model import Dial
from gateway.credentials.placed import field_value
from gateway.credentials.query import escaped
from gateway.credentials.sigv4_injector import ONCE
from gateway.credentials.sigv4_keys import AwsKeys, keys_of

Rotating = model.Bearer | model.Basic | model.Header | model.Query | model.Cookie | model.SigV4 | model.Hmac
"""Credentials that rotate. What is minted anyway has other ways to be replaced."""
Shown = tuple[str, Mapping[str, str]]
"""The URL that is asked, and the header fields."""


def shown(credential: Rotating, secret: Secret, url: str, now: Callable[[], float]) -> Shown:
    """GET `url` with a secret. Raises ValueError for one that cannot be carried, not naming it, and DependencyDown for no key."""
    raw = secret.reveal()
    match credential:
        case model.SigV4():
            return _signed(credential, keys_of(raw), url, now())
        case model.Hmac():
            return url, _by_hmac(credential, secret, url, now)
        case model.Bearer():
            return url, {"authorization": bearer(raw).decode("ascii")}
        case model.Basic():
            return url, {"authorization": Basic(credential.username)(raw).decode("ascii")}
        case model.Header():
            return url, {credential.name: field_value(raw).decode("ascii")}
        case model.Cookie():
            return url, {"cookie": f"{credential.name}={cookie_value(raw).decode('ascii')}"}
        case model.Query():
            pair = f"{escaped(credential.name.encode()).decode('ascii')}={escaped(raw).decode('ascii')}"
            return f"{url}{'&' if '?' in url else '?'}{pair}", {}


def _signed(credential: model.SigV4, keys: AwsKeys, url: str, now: float) -> Shown:
    target = sigv4.sent_form(_target(url))
    place = Place(url, credential.region, credential.service, Dial())
    question = Question("GET", place, target, {}, sigv4.NOTHING, credential.service in ONCE)
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{target.decode('ascii')}", signed(question, keys, now)


def _by_hmac(credential: model.Hmac, secret: Secret, url: str, now: Callable[[], float]) -> Mapping[str, str]:
    asked = Asked(host_field(url).encode("ascii"), _target(url))
    HmacInjector("the new secret", credential, Fixed(secret), now).sign(asked, b"")
    return {name.decode("ascii"): value.decode("ascii") for name, value in fields_of(b"".join(asked.lines))}


def _target(url: str) -> bytes:
    parts = urlsplit(url)
    return ((parts.path or "/") + (f"?{parts.query}" if parts.query else "")).encode("ascii")


@dataclass(slots=True)
class Asked:
    """A GET without a body. Implements `hmac_signature.Signed`."""

    authority: bytes
    target: bytes
    method: str = "GET"
    lines: list[bytes] = field(default_factory=list)
    secrets: tuple[Echoes, ...] = ()


@dataclass(frozen=True, slots=True)
class Fixed:
    """Implements `core.ports.SecretSource` for a secret that is not in force yet."""

    secret: Secret
    name: str = "the new secret"

    def current(self) -> Secret:
        return self.secret
