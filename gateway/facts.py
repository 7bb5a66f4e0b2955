"""What policies may know of the configuration they speak about: its routes."""

from gateway.authz.policy import RouteFact
from gateway.routing import parse
from gateway.settings import Loaded, RouteModel, Settings


def facts(loaded: Loaded, settings: Settings) -> list[RouteFact]:
    """What policies may refer to."""
    return [facts_of(route, *loaded.place(("routes", index))) for index, route in enumerate(settings.routes)]


def facts_of(route: RouteModel, file: str = "", line: int = 0, column: int = 0) -> RouteFact:
    described = route.validate_.openapi is not None
    return RouteFact(route.name, methods_of(route), route.upstream, parameters_of(route), file, line, column, described)


def parameters_of(route: RouteModel) -> tuple[str, ...]:
    """None of them for a pattern that does not parse: its own problem is told where the route is built."""
    try:
        return parse(route.match.path).parameters
    except ValueError:
        return ()


def methods_of(route: RouteModel) -> tuple[str, ...] | None:
    return None if route.match.methods == "any" else tuple(route.match.methods)
