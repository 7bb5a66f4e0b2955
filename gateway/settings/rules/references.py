"""Names that one section uses and another must define."""

from collections.abc import Iterator, Sequence

from gateway.authn.model import NAMED
from gateway.config.document import Steps
from gateway.config.validation import suggest
from gateway.core.errors import Problem
from gateway.settings.rules.draft import Draft


def check(draft: Draft) -> Iterator[Problem]:
    credentials, limits = draft.names("credentials"), draft.names("rate_limits", "rules")
    for place, _ in draft.routes():
        yield from _named(draft, (*place, "upstream"), "upstream", draft.names("upstreams"))
        yield from _one_or_more(draft, (*place, "credential"), "credential", credentials)
        yield from _named(draft, (*place, "cors"), "CORS policy", draft.names("cors"))
        yield from _named(draft, (*place, "resource"), "resource", draft.names("resources"))
        yield from _listed(draft, (*place, "rate_limits"), "rate limit", limits)
        yield from _listed(draft, (*place, "authenticate"), "scheme", schemes(draft))
        yield from _listeners(draft, (*place, "match", "listeners"))
    for name in draft.names("upstreams"):
        yield from _one_or_more(draft, ("upstreams", name, "credential"), "credential", credentials)
    yield from _listed(draft, ("rate_limits", "default"), "rate limit", limits)
    yield from _listed(draft, ("portal", "tools", "rate_limits"), "rate limit", limits)
    yield from _listed(draft, ("portal", "tools", "authenticate"), "scheme", schemes(draft))


def schemes(draft: Draft) -> list[str]:
    """What a route may `authenticate` by: `KIND.NAME`, and the other schemes where they are configured."""
    others = [name for name in ("api_keys", "mtls") if name in draft.names("authentication")]
    own = ["tokens"] if draft.value("tokens") is not None else []
    return [*(f"{kind}.{name}" for kind in NAMED for name in draft.names("authentication", kind)), *others, *own]


def _named(draft: Draft, path: Steps, kind: str, known: Sequence[str]) -> Iterator[Problem]:
    name = draft.value(*path)
    if isinstance(name, str) and name not in known:
        yield draft.error(path, f"unknown {kind} '{name[:80]}'", suggest(name, known) or f"no {kind} is configured")


def _one_or_more(draft: Draft, path: Steps, kind: str, known: Sequence[str]) -> Iterator[Problem]:
    yield from (_listed if isinstance(draft.value(*path), list) else _named)(draft, path, kind, known)


def _listed(draft: Draft, path: Steps, kind: str, known: Sequence[str]) -> Iterator[Problem]:
    names = draft.value(*path)
    if not isinstance(names, list):
        return
    for number, name in enumerate(names):
        yield from _named(draft, (*path, number), kind, known)
        if name in names[:number]:
            yield draft.error((*path, number), f"{kind} '{str(name)[:80]}' is named twice")


def _listeners(draft: Draft, path: Steps) -> Iterator[Problem]:
    if draft.value(*path) is None:
        return
    known = draft.names("listeners")
    if not known:
        yield draft.error(path, "names listeners, but only one is configured", "use `listeners:` instead of `listen:`", key=True)
        return
    yield from _listed(draft, path, "listener", known)
