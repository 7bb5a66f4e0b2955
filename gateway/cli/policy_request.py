"""`gateway policy explain --request`: a recorded request looked up in the audit trail and put to these policies."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import typer

from gateway.audit.reading import Reading
from gateway.authz import trace
from gateway.authz.difference import words
from gateway.authz.recall import Recall, recall
from gateway.authz.recorded import Recorded, recorded
from gateway.authz.replay import Answer
from gateway.cli import terminal
from gateway.cli.policy_sides import place_of
from gateway.cli.terminal import one_line, say
from gateway.cli.trail import configured, events, omitted
from gateway.settings import Loaded

UNSEEN: Final = "headers, query values, claims and bodies"


def explain(loaded: Loaded, request: str, audit: Path | None, *, as_json: bool) -> None:
    """Explain the last request of that id. Raises typer.Exit(1) where it never came to a decision, typer.BadParameter where
    the trail does not have it."""
    event, others = _found(configured(loaded, "--audit") if audit is None else audit, request)
    place = place_of(loaded)
    try:
        found = recall(place.side, event)
    except KeyError as error:
        say(one_line(f"these policies do not know the route {event.route!r} that request {event.id} took"))
        raise typer.Exit(1) from error
    if as_json:
        say(terminal.json(_data(found, loaded.generation)))
    else:
        revision = place.rehearsal.policies.revision
        say("\n".join(_lines(found, loaded.generation, revision, others)))


def _found(trail: Path, request: str) -> tuple[Recorded, int]:
    """The last event of the id, and how many came before it: a proxy that chooses ids may repeat them."""
    reading, last, count = Reading(), None, 0
    for fields in events([trail], reading):
        if fields.get("request_id") == request:
            last, count = fields, count + 1
    if last is None:
        skipped = omitted(reading)
        raise typer.BadParameter(f"{trail} has no request {request!r}{f'; {skipped}' if skipped else ''}", param_hint="--request")
    event = recorded(last)
    if event is None:
        say(one_line(_undecided(last)))
        raise typer.Exit(1)
    return event, count - 1


def _undecided(fields: Mapping[str, Any]) -> str:
    told = [f"{fields.get(name)}" for name in ("method", "path", "status", "reason", "detail") if fields.get(name) is not None]
    return f"no policy decided it: {' '.join(told)}"


def _lines(found: Recall, generation: str, revision: str, others: int) -> Iterator[str]:
    event = found.event
    answer = words(Answer(event.allowed, event.rule))
    yield f"{'ALLOW' if event.allowed else 'DENY'}  {trace.question(found.access, found.principal, revision)}"
    told = ("recorded: " + answer, event.stamp, f"request {event.id}", f"client {event.client}", f"roles {', '.join(event.roles)}")
    yield one_line(f"  {'   '.join(told)}")
    yield f"  these policies {_compared(found)}"
    if event.generation != generation:
        yield one_line(f"  the configuration has changed since: generation {event.generation} then, {generation} now")
    if others:
        yield f"  {others} earlier {'request has' if others == 1 else 'requests have'} the same id; this is the last"
    if event.errors:
        yield one_line(f"  recorded without a value: {', '.join(event.errors)}")
    yield f"  the trail carries no {UNSEEN}: conditions that read them are undecidable where nothing else decides"
    yield from trace.rules(found.rules)


def _compared(found: Recall) -> str:
    verdict = found.verdict
    if not verdict.contradicts:
        depends = f", depending on {', '.join(verdict.unknown)}" if verdict.unknown else ""
        return f"{'can have given that answer' if depends else 'give the same answer'}{depends}"
    return f"give another answer: {' or '.join(sorted(map(words, verdict.old))) or 'unknown'}"


def _data(found: Recall, generation: str) -> dict[str, Any]:
    event, verdict = found.event, found.verdict
    return {
        "request_id": event.id,
        "ts": event.stamp,
        "recorded": {"decision": "allow" if event.allowed else "deny", "rule": event.rule, "generation": event.generation},
        "generation": generation,
        "agrees": not verdict.contradicts,
        "answers": sorted(map(words, verdict.old)),
        "unknown": list(verdict.unknown),
        "method": event.method,
        "path": event.path,
        "route": event.route,
        "issuer": event.issuer,
        "subject": event.subject,
        "roles": list(event.roles),
        "client": event.client,
        "rules": [trace.rule_data(rule) for rule in found.rules],
    }
