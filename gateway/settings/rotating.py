"""The rotations that a configuration asks for: which stored secret, by which program, tried at which upstream."""

from typing import TYPE_CHECKING

from gateway.config.values import SealedSecret
from gateway.core.ports import Fetch
from gateway.credentials.model import Basic, Bearer, Cookie, Credential, Header, Query
from gateway.settings.model import Settings, credentials_of
from gateway.upstream.model import Upstream

if TYPE_CHECKING:
    from gateway.credentials.rotation.rotor import Job
    from gateway.credentials.rotation.trial import Rotating, Target


def rotates(credential: Credential) -> "Rotating | None":
    """The same where it rotates."""
    if not isinstance(credential, Bearer | Basic | Header | Query | Cookie):
        return None
    return credential if credential.rotate is not None else None


def jobs(settings: Settings, fetch: Fetch) -> "dict[str, Job]":
    """By the name of the secret. What cannot rotate as it is configured was refused by the rules."""
    from gateway.credentials.rotation.rotor import Job
    from gateway.credentials.rotation.trial import Trial

    found = {}
    for name, credential in settings.credentials.items():
        rotating = rotates(credential)
        if rotating is None or rotating.rotate is None:
            continue
        verify, secret = rotating.rotate.verify_, secret_of(rotating)
        upstream = settings.upstreams[verify.upstream or sent_to(settings, name)[0]]
        trial = Trial(rotating, _target(upstream), verify.path, verify.status, fetch)
        found[secret] = Job(secret, name, rotating.rotate, trial)
    return found


def secret_of(credential: "Rotating") -> str:
    """The name of its row."""
    reference = credential.password if isinstance(credential, Basic) else credential.secret
    return reference.sealed if isinstance(reference, SealedSecret) else ""


def sent_to(settings: Settings, credential: str) -> list[str]:
    """The upstreams that get a credential."""
    found = [route.upstream for route in settings.routes if credential in credentials_of(route, settings.upstreams)]
    by_default = [name for name, upstream in settings.upstreams.items() if credential in _named(upstream)]
    return list(dict.fromkeys(by_default + found))


def _named(upstream: Upstream) -> tuple[str, ...]:
    named = upstream.credential or ()
    return (named,) if isinstance(named, str) else tuple(named)


def _target(upstream: Upstream) -> "Target":
    from gateway.credentials.rotation.trial import Target

    url = upstream.url or (upstream.targets or [""])[0]
    ca = None if upstream.tls.ca is None else str(upstream.tls.ca)
    return Target(url.rstrip("/"), upstream.allow_plaintext, upstream.allow_private, ca, dict(upstream.headers.set))
