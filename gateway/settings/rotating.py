"""The rotations that a configuration asks for: which stored secret, by which program or provider, tried at which upstream."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.config.values import NAME, SealedSecret
from gateway.core.ports import RevokingFetch
from gateway.credentials.model import Basic, Bearer, Cookie, Credential, Header, Hmac, Query, SigV4
from gateway.credentials.rotation.model import GitLab, Hook, Iam, Rotate
from gateway.settings.model import Settings, credentials_of
from gateway.upstream.model import Upstream

if TYPE_CHECKING:
    from gateway.credentials.rotation.job import Job
    from gateway.credentials.rotation.minter import Minter
    from gateway.credentials.rotation.shown import Rotating
    from gateway.credentials.rotation.trial import Ask, Target


def end_it(name: str) -> str:
    """What to do about a rotation that nothing goes on with. Who writes the database writes names, and this one is typed."""
    if not re.fullmatch(NAME, name):
        return "no gateway gives a rotation such a name: see who may write the database, and delete the row"
    command = f"`gateway secrets rotate-upstream {name} --forget`"
    return f"its `rotate` was taken out of the configuration: put it back, or {command}, which says what to revoke by hand"


def rotates(credential: Credential) -> "Rotating | None":
    """The same where it rotates."""
    if not isinstance(credential, Bearer | Basic | Header | Query | Cookie | SigV4 | Hmac):
        return None
    return credential if credential.rotate is not None else None


def jobs(settings: Settings, fetch: RevokingFetch, now: Callable[[], float]) -> "dict[str, Job]":
    """By the name of the secret. What cannot rotate as it is configured was refused by the rules."""
    from gateway.credentials.rotation.job import Job
    from gateway.credentials.rotation.trial import Trial, Upstream

    found = {}
    for name, credential in settings.credentials.items():
        chosen = rotates(credential)
        if chosen is None or chosen.rotate is None:
            continue
        secret, rotate = secret_of(chosen), chosen.rotate
        minter, ask = minting(rotate, chosen, fetch, now)
        if rotate.verify_ is not None:
            upstream = settings.upstreams[rotate.verify_.upstream or sent_to(settings, name)[0]]
            ask = Upstream(chosen, _target(upstream), rotate.verify_, fetch, now)
        found[secret] = Job(secret, name, rotate, minter, Trial(ask))
    return found


def minting(rotate: Rotate, credential: "Rotating", fetch: RevokingFetch, now: Callable[[], float]) -> "tuple[Minter, Ask]":
    """What mints, and what it says itself of a secret."""
    match rotate.provider, rotate.hook:
        case Iam() as iam, _:
            from gateway.credentials.rotation.iam import AccessKeys

            keys = AccessKeys(iam, credential.region if isinstance(credential, SigV4) else "", fetch, now)
            return keys, keys.ask
        case GitLab() as gitlab, _:
            from gateway.credentials.rotation.gitlab import SelfRotation

            tokens = SelfRotation(gitlab, rotate.every, fetch, now)
            return tokens, tokens.ask
        case _, Hook() as hook:
            from gateway.credentials.rotation.hook import Program

            return Program(hook), _unasked
        case _:
            raise ValueError("nothing mints")


async def _unasked(_: object) -> str:
    """A program is not asked: with one there is an upstream that is."""
    return "nobody was asked"


def rotating(settings: Settings) -> dict[str, str]:
    """The names of the secrets that rotate, and of their credentials."""
    return {secret_of(each): name for name, one in settings.credentials.items() if (each := rotates(one))}


def secret_of(credential: "Rotating") -> str:
    """The name of its row."""
    if isinstance(credential, Basic):
        reference: object = credential.password
    else:
        reference = credential.keys if isinstance(credential, SigV4) else credential.secret
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
