"""What a route needs of its principals' grants: there are grants, and all at one provider, whose words these are."""

from collections.abc import Iterator
from typing import Any

from gateway.core.errors import Problem
from gateway.settings.rules.draft import Draft


def check(draft: Draft) -> Iterator[Problem]:
    for place, route in draft.routes():
        if not draft.items(*place, "requires_scopes"):
            continue
        path, named = (*place, "requires_scopes"), _credentials(draft, route)
        providers = {str(each.get("provider")) for each in named if each.get("inject") == "grant"}
        if not providers:
            yield draft.error(path, "this route sends no principal's grant, which alone has scopes", "name one: `inject: grant`")
        if len(providers) > 1:
            wrong = f"the credentials of this route are grants at several providers: {', '.join(sorted(providers))}"
            yield draft.error(path, wrong, "say `requires_scopes` at each credential")


def _credentials(draft: Draft, route: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that the route names, else its upstream's, as far as they are sound."""
    named, upstream = _names(route.get("credential")), route.get("upstream")
    if not named and isinstance(upstream, str):
        named = draft.items("upstreams", upstream, "credential")
    found = [draft.value("credentials", name) for name in named if isinstance(name, str)]
    return [each for each in found if isinstance(each, dict)]


def _names(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []
