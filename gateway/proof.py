"""That every upstream credential stands behind the policies of its own route: shown of the built snapshot, not of the files.

Two lists are made and compared. One is what a request can reach: every route of every door's table, by every host, path and method,
with those that answer for unknown paths and methods. The other is what the files say: which routes have a credential, by
themselves or through their upstream. Each route that reaches an injector must be in both, must ask who is there, and must decide by
the very policy that was compiled for its name. That the pipeline asks a policy before it injects is shown by a test of its source.
"""

from collections.abc import Iterator

from gateway.authz.lint import named
from gateway.authz.policy import Policies
from gateway.core.errors import Problem
from gateway.routing import Leaf, Node, Table
from gateway.settings import Loaded, credentials_of
from gateway.snapshot import Door, Route, Snapshot

RULE = "unguarded-credential"


def unguarded(loaded: Loaded, snapshot: Snapshot, policies: Policies) -> list[Problem]:
    """Everything that keeps the proof from holding; nothing, where it holds."""
    found = [problem for door in snapshot.doors.values() for problem in _door(loaded, door, policies)]
    reached = {route.name: carried(route) for door in snapshot.doors.values() for route in reachable(door)}
    reached |= {route.name: carried(route) for route in snapshot.routes}
    for name, credential in written(loaded).items():
        if reached.get(name) != credential:
            found.append(_problem(loaded, name, f"the files give it the credential {credential!r}, built is {reached.get(name)!r}"))
    return found


def written(loaded: Loaded) -> dict[str, str | None]:
    """The credential of each route, as the files say it."""
    settings = loaded.settings
    if settings is None:
        return {}
    return {route.name: ",".join(credentials_of(route, settings.upstreams)) or None for route in settings.routes}


def carried(route: Route) -> str | None:
    """The credential that a route injects."""
    return None if route.service is None else route.service.injector.name


def reachable(door: Door) -> Iterator[Route]:
    """Every route that some request to a door ends at, also those that answer for paths and methods nobody has."""
    table: Table[Route] = door.table
    yield table.missing
    for tree in (table.everywhere, *table.hosts.values(), *table.suffixes.values()):
        for leaf in _leaves(tree.root):
            yield from leaf.methods.values()
            yield from (route for route in (leaf.any, leaf.refused) if route is not None)


def _leaves(node: Node[Route]) -> Iterator[Leaf[Route]]:
    yield from (leaf for leaf in (node.leaf, node.rest) if leaf is not None)
    for below in (*node.literal.values(), node.parameter, node.star):
        if below is not None:
            yield from _leaves(below)


def _door(loaded: Loaded, door: Door, policies: Policies) -> Iterator[Problem]:
    expected = written(loaded)
    for route in dict.fromkeys(reachable(door)):
        service, where = route.service, f"on {door.name}"
        if service is None or (service.injector.name is None and not service.injector.sets):
            continue
        if route.name is None or route.name not in expected:
            yield _problem(loaded, route.name or "", f"a credential is reached {where} by a route that no file names")
        elif service.injector.name != expected[route.name]:
            yield _problem(loaded, route.name, f"{where} it injects {service.injector.name!r}, which is not its credential")
        elif route.name not in policies.facts or service.policy is not policies.route(route.name):
            yield _problem(loaded, route.name, f"{where} it does not decide by the policies of its name")
        elif route.answer is not None:
            yield _problem(loaded, route.name, f"{where} it answers itself and has a credential")


def _problem(loaded: Loaded, name: str, message: str) -> Problem:
    """A finding about a route, at its place where it has one."""
    names = [route.name for route in loaded.settings.routes] if loaded.settings is not None else []
    path = ("routes", names.index(name)) if name in names else ("routes",)
    return named(RULE, loaded.problem(path, f"route {name!r}: {message}"))
