"""Captured credentials: for whom placeholders are made, what opens them, and where clients can send them."""

from collections.abc import Iterator
from typing import Any, Final

from gateway.config.document import Steps
from gateway.core.errors import Problem
from gateway.settings.rules.draft import Draft

OWN: Final = "authorization"
SPENT: Final = {
    "captured": "say `sent_in: X-Upstream-Authorization` at the credential '{}'",
    "captured_keys": "take client certificates (`mtls`) or API keys in another header here: clients sign with what '{}' opens",
}
"""What spends placeholders, and what to do where it cannot."""


def check(draft: Draft) -> Iterator[Problem]:
    for place, route in draft.routes():
        capture = route.get("capture")
        if isinstance(capture, dict):
            yield from _captured(draft, (*place, "capture"), route, capture)
        yield from _spent(draft, place, route)


def _captured(draft: Draft, path: Steps, route: dict[str, Any], capture: dict[str, Any]) -> Iterator[Problem]:
    if route.get("anonymous") is True:
        yield draft.error(path, "a placeholder is for one principal, and this route asks nobody who he is", key=True)
    if route.get("websocket"):
        yield draft.error(path, "nothing is captured from a WebSocket", key=True)
    name, kind = capture.get("spend_with"), "captured_keys" if capture.get("aws_keys") else "captured"
    if isinstance(name, str) and draft.value("credentials", name, "inject") != kind:
        more = ", regions: […], services: […]" if kind == "captured_keys" else ""
        hint = f"add it to `credentials`: `{name[:80]}: {{inject: {kind}{more}}}`"
        yield draft.error((*path, "spend_with"), f"no credential '{name[:80]}' opens placeholders", hint)


def _spent(draft: Draft, place: Steps, route: dict[str, Any]) -> Iterator[Problem]:
    """Where the client's own credential comes in Authorization, a placeholder cannot."""
    header = draft.value("authentication", "api_keys", "header")
    elsewhere = ("mtls",) if str(header).lower() == OWN else ("mtls", "api_keys")
    if all(scheme in elsewhere for scheme in draft.items(*place, "authenticate")):
        return
    upstream = route.get("upstream")
    named = draft.items(*place, "credential") or (draft.items("upstreams", upstream, "credential") if upstream else [])
    for name in named:
        model = draft.value("credentials", name) if isinstance(name, str) else None
        if isinstance(model, dict) and model.get("inject") in SPENT:
            sent_in = model.get("sent_in") or model.get("header") or OWN
            if str(sent_in).lower() == OWN:
                wrong = f"the client's own credential comes in Authorization, and so would the placeholder for '{name}'"
                yield draft.error(place, wrong, SPENT[model["inject"]].format(name))
