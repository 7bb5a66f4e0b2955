"""A principal with less: fewer scopes, fewer routes. Never with more than there was.

Scopes of a source that has some bound what its roles give (`scope_ceiling`). A source that has none gets none either: what is asked
for bounds its permissions instead, so that no condition on `subject.scopes` holds that did not hold before.
"""

from collections.abc import Sequence

from gateway.authz.permissions import PATTERN, covers, narrowed
from gateway.core.principal import Identity
from gateway.core.route_scope import RouteScope
from gateway.tokens.errors import denied


def with_scopes(source: Identity, asked: Sequence[str] | None) -> Identity:
    """At most these scopes; None keeps them. Raises Forbidden invalid_scope for one that the source has not."""
    if asked is None:
        return source
    made = source.copy()
    if source.scopes or source.scope_ceiling:
        for scope in asked:
            if scope not in source.scopes and not (source.scope_ceiling and _covered(source.scopes, scope)):
                raise denied("invalid_scope", "more was asked for than the subject has")
        made.scopes, made.scope_ceiling = tuple(asked), True
        return made
    if source.permissions is not None and not all(_covered(source.permissions, scope) for scope in asked):
        raise denied("invalid_scope", "more was asked for than the subject has")
    if source.permissions is not None:
        made.permissions = narrowed(source.permissions, asked)
    else:
        # Without roles stated, permissions would be a grant (authz.grant): with none stated, they only bound.
        made.permissions, made.roles = tuple(each for each in asked if PATTERN.fullmatch(each)), source.roles or ()
    return made


def with_routes(source: Identity, asked: Sequence[str] | None) -> Identity:
    """Only routes of these names or globs, of those it is for."""
    if asked is None:
        return source
    made = source.copy()
    made.routes = RouteScope(asked, source.routes)
    return made


def _covered(having: Sequence[str], scope: str) -> bool:
    return bool(PATTERN.fullmatch(scope)) and any(PATTERN.fullmatch(each) and covers(each, scope) for each in having)
