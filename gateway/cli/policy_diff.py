"""`gateway policy diff`: which requests two sets of policies answer differently."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.audit.reading import Reading
from gateway.authz.difference import Difference, Group, in_cases, replayed
from gateway.cli import terminal
from gateway.cli.options import Config, EnvFile, Format, Printed, sound
from gateway.cli.policy_sides import Place, place_at, place_of
from gateway.cli.terminal import one_line, say
from gateway.cli.trail import events, omitted

MOST: Final = 10
"""Principals and groups that text shows."""


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A folder or file of policies, or a configuration file.")],
    new: Annotated[
        Path | None, typer.Argument(metavar="NEW", help="The same; without it, the policies of the configuration.")
    ] = None,
    config: Config = None,
    env_file: EnvFile = None,
    replay: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Ask what this audit trail recorded, and its rotated files. May be repeated."),
    ] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when something changes or cannot be told.")] = False,
    format: Printed = Format.TEXT,
) -> None:
    """Say which requests change their answer from OLD to NEW: those of the policies' cases, or recorded ones with --replay.

    Policies of a folder are asked with the routes of the configuration. Exit 0, 1 with --exit-code, 78: bad configuration.
    """
    loaded = sound(config, env_file)
    before = place_at(old, loaded, env_file or [])
    after = place_of(loaded) if new is None else place_at(new, loaded, env_file or [])
    reading = Reading()
    found = _found(before, after, replay or [], reading)
    say(_json(found, reading) if format is Format.JSON else "\n".join(_lines(found, reading, trail=bool(replay))))
    if exit_code and (found.changed or found.easing or found.undecidable):
        raise typer.Exit(1)


def _found(before: Place, after: Place, trails: list[Path], reading: Reading) -> Difference:
    if not trails:
        return in_cases(before.side, after.side, before.rehearsal.match, after.rehearsal.match)
    return replayed(events(trails, reading), before.side, after.side)


def _lines(found: Difference, reading: Reading, *, trail: bool) -> Iterator[str]:
    what = "requests" if trail else "questions of the cases"
    period = f", {one_line(found.first)} to {one_line(found.last)}" if found.first else ""
    yield f"{found.asked} {what}{period}"
    eased = f"{found.easing} are allowed with other demands, " if found.easing else ""
    yield f"{found.changed} change their answer, {eased}{found.same} keep it, {found.undecidable} cannot be told"
    for (before, after), group in [*_sorted(found.changes), *_sorted(found.eased)]:
        yield ""
        yield one_line(f"{before}  ->  {after}: {group.count}")
        yield from _details(group)
    if found.undecided:
        yield ""
        yield "cannot be told from the trail, because of"
    for (rule, reads), group in _sorted(found.undecided):
        yield one_line(f"  {rule}, which reads {reads}: {group.count}, for instance {', '.join(group.examples)}")
    yield from _omitted(found, reading)


def _details(group: Group) -> Iterator[str]:
    most = group.principals.most(MOST)
    more = len(group.principals.counts) - len(most)
    shown = ", ".join(f"{name} {count}" for name, count in most)
    yield one_line(f"  {shown}" + (f" and {more} more" if more > 0 else ""))
    yield one_line(f"  for instance {', '.join(group.examples)}")


def _omitted(found: Difference, reading: Reading) -> Iterator[str]:
    told = [
        (found.contradicting, "were answered otherwise than OLD answers: the trail was written under other policies"),
        (found.without_decision, "left out: refused before any policy, or not as the trail writes them"),
        (found.foreign, "left out: of routes that these policies do not know"),
    ]
    lines = [f"{count} {why}" for count, why in told if count] + list(filter(None, [omitted(reading)]))
    if lines:
        yield ""
    yield from lines


def _sorted(groups: Mapping[tuple[str, str], Group]) -> list[tuple[tuple[str, str], Group]]:
    return sorted(groups.items(), key=lambda item: (-item[1].count, item[0]))[:MOST]


def _json(found: Difference, reading: Reading) -> str:
    document = {
        "asked": found.asked,
        "changed": found.changed,
        "same": found.same,
        "undecidable": found.undecidable,
        "first": found.first or None,
        "last": found.last or None,
        "changes": [{"old": old, "new": new, **_group(group)} for (old, new), group in found.changes.items()],
        "demands_changed": found.easing,
        "demands": [{"old": old, "new": new, **_group(group)} for (old, new), group in found.eased.items()],
        "principals": found.principals.counts,
        "undecided": [
            {"rule": rule, "reads": reads.split(", "), **_group(group)} for (rule, reads), group in found.undecided.items()
        ],
        "contradicting": found.contradicting,
        "without_decision": found.without_decision,
        "unknown_route": found.foreign,
        "skipped_lines": reading.skipped,
    }
    return terminal.json(document)


def _group(group: Group) -> dict[str, Any]:
    return {"count": group.count, "principals": group.principals.counts, "examples": group.examples}
