"""A build that serves nothing: for `gateway check`, and to ask what would happen to a request."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.authn import key_file
from gateway.authn.model import NAMED
from gateway.authz.compile import compile_policies
from gateway.authz.document import PolicyDocuments, from_documents
from gateway.authz.policy import Policies
from gateway.build import Builder
from gateway.config.validation import suggest
from gateway.core.decision import Permit
from gateway.core.errors import ConfigError, Problem
from gateway.core.message import Response
from gateway.core.path import canonical
from gateway.core.principal import OWN_ISSUERS
from gateway.facts import facts_of
from gateway.resources import Nobody, dry
from gateway.settings import Loaded, RouteModel, Settings
from gateway.settings.rules.draft import Draft
from gateway.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A build that serves nothing: what would happen to a request can be asked of it."""

    snapshot: Snapshot
    policies: Policies
    documents: PolicyDocuments

    def match(self, method: str, path: str, host: str) -> tuple[str, Mapping[str, str]] | None:
        """The route a request would take, with its parameters; None where the gateway itself would answer.

        Raises GatewayError for a path or parameter that is refused.
        """
        canonical_path = canonical(path.encode())
        segments = tuple(canonical_path[1:].split("/"))
        for door in self.snapshot.doors.values():
            route, captured = door.table.match(host, segments, method)
            if route.name is not None and route.service is not None:
                return route.name, route.service.parameters.decoded(captured)
        return None


def rehearse(loaded: Loaded) -> Rehearsal:
    """Build and start nothing. Raises ConfigError with every problem."""
    if loaded.settings is None or loaded.errors:
        raise ConfigError(loaded.problems)
    builder = Builder(loaded, loaded.settings, dry())
    snapshot = builder.snapshot()
    if snapshot is None or builder.policies is None or any(problem.severity == "error" for problem in builder.problems):
        raise ConfigError([*loaded.problems, *builder.problems])
    return Rehearsal(snapshot, builder.policies, builder.documents)


def see(response: Response, permit: Permit) -> Response:
    """What a client gets of an upstream's answer, which is here as a whole. Raises Withheld. Not within an event loop."""
    if permit.obligations is None or not permit.obligations.shapes_answer:
        return response
    from gateway.shaping.imagined import imagined  # its patterns take a while to compile

    return imagined(response, permit, permit.obligations, Nobody())


def check(loaded: Loaded) -> list[Problem]:
    """Every problem a start would meet, with warnings. Starts nothing."""
    if loaded.settings is None:
        return [*loaded.problems, *about_policies(loaded)]
    builder = Builder(loaded, loaded.settings, dry())
    builder.snapshot()
    known = builder.policies.roles if builder.policies is not None else None
    return [*loaded.problems, *builder.problems, *unknown_roles(loaded.settings, known)]


def unknown_roles(settings: Settings, known: frozenset[str] | None) -> list[Problem]:
    """Keys that name a role no policy file defines: they get nothing by it, which their maker will hardly have meant."""
    keys = settings.authentication.api_keys
    if keys is None or known is None:
        return []
    try:
        entries = key_file.of(keys.file)
    except ConfigError:
        return []  # told by the build already
    found = [(entry.id, role) for entry in entries for role in entry.roles or () if role not in known]
    return [
        Problem(str(keys.file), 0, 0, "", f"the key {id} names an unknown role {role!r}", suggest(role, sorted(known)), "warning")
        for id, role in found
    ]


def about_policies(loaded: Loaded) -> list[Problem]:
    """What is wrong with the policies of a configuration that is unsound itself: judged by the routes it names.

    A route that cannot be read would make a reference to it look wrong; then only what a policy says by itself is judged.
    """
    documents = from_documents(loaded.policies)
    draft = Draft(loaded.source)
    routes = [draft.part(RouteModel, path) for path, _ in draft.routes()]
    sound = [facts_of(route) for route in routes if route is not None]
    if not sound or len(sound) < len(routes):
        return documents.problems
    issuers = OWN_ISSUERS.union(*(draft.names("authentication", kind) for kind in NAMED))
    _, problems = compile_policies(documents, routes=sound, issuers=issuers, has_key=True, now=time.time)
    return [problem for problem in problems if problem.severity == "error"]
