"""What no single model can check: references between sections, and combinations that would be unsafe.

Every rule takes the Draft and gives Problems; they run even where a model failed.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from gateway.config.layers import Layers
from gateway.core.errors import Problem
from gateway.settings.rules import (
    authentication,
    capturing,
    certificates,
    clients,
    connecting,
    credentials,
    files,
    guessing,
    limits,
    listeners,
    origins,
    references,
    resources,
    rotation,
    routes,
    scopes,
    signing,
    tokens,
    unused,
    upstreams,
    urls,
)
from gateway.settings.rules.draft import Draft

RULES: Final[tuple[Callable[[Draft], Iterable[Problem]], ...]] = (
    references.check,
    unused.check,
    listeners.check,
    authentication.check,
    clients.check,
    tokens.check,
    credentials.check,
    signing.check,
    certificates.check,
    rotation.check,
    scopes.check,
    connecting.check,
    capturing.check,
    routes.check,
    resources.check,
    limits.check,
    guessing.check,
    origins.check,
    upstreams.check,
    urls.check,
    files.check,
)


def check(source: Layers) -> Iterator[Problem]:
    """Every finding of every rule."""
    draft = Draft(source)
    if isinstance(source.value, dict):
        for rule in RULES:
            yield from rule(draft)
