"""`gateway who-can`: which principals may reach a credential, by which rule of which line, and what only a request will tell."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from gateway.authz.holders import CLAIM, CONDITION, GROUP, Holder
from gateway.authz.overlap import overlap
from gateway.cli.options import Config, EnvFile
from gateway.cli.terminal import json, one_line, say
from gateway.cli.where_used import AsJson, Credential, line_of, meant, near
from gateway.core.errors import ConfigError
from gateway.reach import KeyHolder, Spoken, Way, everybody, ways
from gateway.rehearsal import rehearse

WORDS: Final = {
    GROUP: "members of the group {issuer}:{who}",
    CLAIM: "whoever a token of {issuer} names {role} in `{who}`",
    CONDITION: "whoever {who} holds for",
}
"""How people are told who a binding means; the issuer decides who that is, or each principal's own token."""


def who_can(credential: Credential, config: Config = None, env_file: EnvFile = None, as_json: AsJson = False) -> None:
    """Say who may use routes that have a credential: by which rule, through which role, under which conditions.

    Told are ways that the policies leave open. Who is in a group or what a token claims the issuer knows, not the gateway.
    Exit 0: it was told, also where nobody can; 2: there is no such credential; 78: bad configuration.
    """
    loaded, _, names = meant(config, env_file, credential)
    if loaded.errors:
        raise ConfigError(loaded.problems)
    rehearsal = rehearse(loaded)
    never = {rule.name for rule in overlap(rehearsal.policies).never}
    found = {name: ways(loaded, rehearsal.policies, rehearsal.documents, name, time.time()) for name in names}
    if as_json:
        print(
            json(
                {"credentials": [{"credential": name, "ways": [_data(way, never) for way in told]} for name, told in found.items()]}
            )
        )
        return
    for name, told in found.items():
        say(name)
        for line in (line for way in told for line in _lines(way, never)):
            say(one_line(line))
        if not told:
            say("  no route has it")


def _data(way: Way, never: set[str]) -> dict[str, Any]:
    return {
        "use": {**asdict(way.use), "place": near(way.use.place)},
        "authenticate": list(way.asked),
        "anonymous": not way.asked,
        "bound_by_scopes": list(way.capped),
        "closed": list(way.closed),
        "allowed_by": [
            {
                **_rule(rule),
                "everybody": rule.permission is None,
                "never_matches": rule.rule in never,
                "holders": [_holder(each) for each in held],
            }
            for rule, held in way.allows
        ],
        "denied_by": [_rule(rule) for rule in way.denies],
        "api_keys": [asdict(each) for each in way.keys],
    }


def _rule(rule: Spoken) -> dict[str, Any]:
    return {**asdict(rule), "place": near(rule.place)}


def _holder(holder: Holder) -> dict[str, Any]:
    return {**asdict(holder), "place": near(holder.place), "certain": holder.kind not in WORDS}


def _lines(way: Way, never: set[str]) -> Iterator[str]:
    yield f"  {line_of(way.use)}"
    yield f"    lets in {', '.join(way.asked) or 'everybody, as anonymous'}"
    yield from (f"    tokens of {issuer} are bound by their scopes too" for issuer in way.capped)
    if way.closed:
        yield f"    closed to everybody: {', '.join(way.closed)}"
    if not any(rule.rule not in never for rule, _ in way.allows):
        yield "    nobody: no rule allows anything"
    for rule, held in way.allows:
        yield from _allowing(way, rule, held, impossible=rule.rule in never)
    for rule in way.denies:
        yield f"    denied by {_told(rule)}"
    yield from (_key(each) for each in way.keys)


def _allowing(way: Way, rule: Spoken, held: tuple[Holder, ...], *, impossible: bool) -> Iterator[str]:
    yield f"    allowed by {_told(rule)}" + ("   its condition cannot hold" if impossible else "")
    if rule.permission is None:
        yield f"      {everybody(way)}"
        return
    for each in held:
        words = WORDS.get(each.kind, "{issuer}:{who}").format(**asdict(each))
        until = f", until {each.until}" if each.until else ""
        yield f"      {words}   role {each.role}{until}   {near(each.place)}"
    if not held and not way.keys:
        yield f"      nobody: no binding gives {rule.permission}"


def _told(rule: Spoken) -> str:
    permission = f"   permission {rule.permission}" if rule.permission is not None else ""
    conditions = "".join(f"   if {text}" if not text.startswith("unless ") else f"   {text}" for text in rule.conditions)
    return f"{rule.rule}   {near(rule.place)}   {','.join(rule.methods)}{permission}{conditions}"


def _key(key: KeyHolder) -> str:
    sure = [", ".join(key.methods)] if key.methods else []
    maybe = [f"{', '.join(key.conditional)} depending on the request"] if key.conditional else []
    return f"    API key {key.id} ({key.name}) as api_keys:{key.subject}: {'; '.join([*sure, *maybe])}"
