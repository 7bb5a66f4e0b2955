"""`gateway policy promote`: the evidence for enforcing shadow rules, and the edit that would. Nothing is edited."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.audit.reading import Reading
from gateway.authz import cases
from gateway.authz.document import PolicyDocuments
from gateway.authz.promotion import Evidence, gather
from gateway.cli import terminal
from gateway.cli.options import Config, EnvFile, Format, Printed, sound
from gateway.cli.policy_sides import Place, place_of
from gateway.cli.report import nearby
from gateway.cli.terminal import one_line, say
from gateway.cli.trail import configured, events, omitted
from gateway.rehearsal import see

MOST: Final = 5


def promote(
    rule: Annotated[str, typer.Argument(help="A shadow rule, policy/rule; without it, all of them.")] = "",
    config: Config = None,
    env_file: EnvFile = None,
    replay: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="The audit trail; without it, the configured one. Its rotated files are read too."),
    ] = None,
    format: Printed = Format.TEXT,
) -> None:
    """Say what enforcing a shadow rule would change of what was really asked, and whether that is enough to go by.

    Exit 0: there is evidence, or no rule was named; 1: not enough for the rule that was named; 78: bad configuration.
    """
    loaded = sound(config, env_file)
    place = place_of(loaded)
    shadows = [each for each in place.rehearsal.policies.rules if each.shadow and rule in ("", each.name)]
    if not shadows:
        if rule:
            raise typer.BadParameter(f"no shadow rule is named {rule!r}", param_hint="RULE")
        say("no rule is in shadow mode")
        return
    reading = Reading()
    found = gather(events(replay or [configured(loaded, "--replay")], reading), place.side, loaded.generation, shadows)
    covered = _covered(place)
    if format is Format.JSON:
        say(terminal.json([_data(each, place, covered) for each in found]))
    else:
        lines = [line for each in found for line in _lines(each, place, covered)]
        say("\n".join([*lines, *filter(None, [omitted(reading)])]))
    if rule and any(each.lacks(covered=each.rule.name in covered) for each in found):
        raise typer.Exit(1)


def _covered(place: Place) -> frozenset[str]:
    """The rules that cases have seen in both outcomes."""
    rehearsal = place.rehearsal
    report = cases.run(rehearsal.documents, rehearsal.policies, rehearsal.match, see=see)
    return frozenset(each.rule for each in report.coverage if each.complete)


def _edit(evidence: Evidence, documents: PolicyDocuments) -> str:
    """Where the mode is written, and what to do with it."""
    for loaded in documents.policies:
        for number, model in zip(loaded.numbers, loaded.model.rules, strict=True):
            if f"{loaded.model.name}/{model.name}" == evidence.rule.name:
                if model.mode == "shadow":
                    return f"{nearby(loaded.place(('rules', number, 'mode')))}: remove `mode: shadow`"
                many = len(loaded.model.rules)
                return f"{nearby(loaded.place(('mode',)))}: remove `mode: shadow`, which holds for all {many} rules of the file"
    return ""


def _lines(evidence: Evidence, place: Place, covered: frozenset[str]) -> Iterator[str]:
    rule, changes = evidence.rule, evidence.changes
    yield one_line(f"{rule.name}   {nearby(rule.place)}   {'allow' if rule.allows else 'deny'} in shadow")
    period = f", {evidence.first} to {evidence.last}" if evidence.first else ""
    yield one_line(
        f"  asked on its routes and methods: {evidence.asked}, of these {evidence.here} under this configuration{period}"
    )
    yield f"  matched: {evidence.matched}, without a value: {evidence.errors}, cannot be told: {evidence.undecidable}"
    yield f"  would change: {changes.count}, from {'deny to allow' if rule.allows else 'allow to deny'}"
    if changes.count:
        yield one_line(f"    principals: {_most(changes.principals.most(MOST))}")
        yield one_line(f"    routes: {_most(evidence.routes.most(MOST))}")
        yield one_line(f"    for instance: {', '.join(changes.examples)}")
    yield f"  cases: {'seen in both outcomes' if rule.name in covered else 'not seen in both outcomes'}"
    lacking = evidence.lacks(covered=rule.name in covered)
    yield f"  not enough evidence: {'; '.join(lacking)}" if lacking else "  enough to decide by"
    yield one_line(f"  to enforce it: {_edit(evidence, place.rehearsal.documents)}")


def _most(counts: list[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts)


def _data(evidence: Evidence, place: Place, covered: frozenset[str]) -> dict[str, Any]:
    rule = evidence.rule
    return {
        "rule": rule.name,
        "place": rule.place,
        "effect": "allow" if rule.allows else "deny",
        "asked": evidence.asked,
        "under_this_configuration": evidence.here,
        "first": evidence.first or None,
        "last": evidence.last or None,
        "matched": evidence.matched,
        "errors": evidence.errors,
        "undecidable": evidence.undecidable,
        "would_change": evidence.changes.count,
        "principals": evidence.changes.principals.counts,
        "routes": evidence.routes.counts,
        "examples": evidence.changes.examples,
        "covered": rule.name in covered,
        "lacking": evidence.lacks(covered=rule.name in covered),
        "edit": _edit(evidence, place.rehearsal.documents),
    }
