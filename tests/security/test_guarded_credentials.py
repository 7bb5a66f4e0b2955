"""No credential without a policy: a built configuration is shown to ask everywhere before it injects.

That the source does so is shown in tests/repository/test_guarded.py.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.proof import carried, reachable, unguarded, written
from gateway.rehearsal import Rehearsal, rehearse
from gateway.settings import Loaded, load
from gateway.snapshot import Route
from tests.policyhouse import furnish

MANY = """\
version: 1
policies: policies
listeners:
  open: {address: "127.0.0.1:8080"}
  named: {address: "127.0.0.1:8081", hosts: [b.example, "*.c.example"]}
authentication:
  jwt:
    corp: {issuer: "https://idp.example/", audience: [https://gw.example], jwks: {file: keys.json}, algorithms: [ES256]}
cors:
  app: {origins: [https://app.example], methods: [POST]}
credentials:
  bot: {inject: bearer, secret: {env: BOT}}
  other: {inject: query, name: key, secret: {env: BOT}}
upstreams:
  api: {url: https://api.example.com, credential: bot}
  plain: {url: https://plain.example.com}
routes:
  - {name: notes.list, match: {path: "/orgs/{org}/notes", methods: [GET, POST]}, upstream: api, authenticate: [jwt.corp], cors: app}
  - {name: notes.one, match: {path: "/orgs/{org}/notes/{note}"}, upstream: api, credential: other, authenticate: [jwt.corp], websocket: true}
  - {name: notes.all, match: {path: "/orgs/**", host: b.example}, upstream: plain, authenticate: [jwt.corp]}
  - {name: notes.star, match: {path: "/*/x", host: "*.c.example"}, upstream: plain, credential: bot, authenticate: [jwt.corp]}
  - {name: notes.open, match: {path: /open/**}, upstream: plain, anonymous: true}
security_txt: {contact: "mailto:security@example.com", expires: 180d}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    furnish(tmp_path, config=MANY)
    return load([tmp_path / "config.yaml"], environ={"BOT": "canary-of-the-bot"})


@pytest.fixture
def built(loaded: Loaded) -> Rehearsal:
    return rehearse(loaded)


def proved(loaded: Loaded, built: Rehearsal) -> list[str]:
    return [problem.message for problem in unguarded(loaded, built.snapshot, built.policies)]


def test_every_credential_is_reached_through_the_policies_of_its_own_route(loaded: Loaded, built: Rehearsal) -> None:
    assert proved(loaded, built) == []
    found = {route.name: carried(route) for route in reachable(built.snapshot.doors["open"]) if route.service is not None}
    assert found == written(loaded)
    assert set(found.values()) == {"bot", "other", None}


def test_what_answers_unknown_paths_and_methods_is_gone_through_too(built: Rehearsal) -> None:
    answering = [route for route in reachable(built.snapshot.doors["named"]) if route.answer is not None]
    assert len(answering) >= 3  # an unknown path, another method, security.txt
    assert all(route.service is None for route in answering)


def swapped(built: Rehearsal, name: str, **changes: Any) -> None:
    """Build it wrong: another service behind a route."""
    for door in built.snapshot.doors.values():
        for route in reachable(door):
            if route.name == name and route.service is not None:
                object.__setattr__(route, "service", replace(route.service, **changes))


def service_of(built: Rehearsal, name: str) -> Any:
    return next(route.service for route in built.snapshot.routes if route.name == name)


def test_a_credential_that_the_files_do_not_give_is_found(loaded: Loaded, built: Rehearsal) -> None:
    swapped(built, "notes.all", injector=service_of(built, "notes.list").injector)
    assert any("which is not its credential" in message for message in proved(loaded, built))


def test_a_credential_that_got_lost_is_found(loaded: Loaded, built: Rehearsal) -> None:
    swapped(built, "notes.list", injector=service_of(built, "notes.all").injector)
    assert proved(loaded, built) == ["route 'notes.list': the files give it the credential 'bot', built is None"]


def test_the_policies_of_another_route_do_not_count(loaded: Loaded, built: Rehearsal, tmp_path: Path) -> None:
    other = rehearse(loaded).policies.route("notes.list")
    swapped(built, "notes.list", policy=other)
    assert any("does not decide by the policies of its name" in message for message in proved(loaded, built))


def test_a_route_that_no_file_names_is_found(loaded: Loaded, built: Rehearsal) -> None:
    route: Route = next(route for route in built.snapshot.routes if route.name == "notes.one")
    object.__setattr__(route, "name", "hidden")
    assert any("a route that no file names" in message for message in proved(loaded, built))


def test_an_answer_of_the_gateways_own_has_no_credential(loaded: Loaded, built: Rehearsal) -> None:
    route = next(route for route in built.snapshot.routes if route.name == "notes.list")
    object.__setattr__(route, "answer", lambda request: None)
    assert any("answers itself and has a credential" in message for message in proved(loaded, built))
