"""Rate limits: rules that can be counted where they are used."""

from collections.abc import Iterator

from gateway.core.errors import Problem
from gateway.ratelimit.model import Rule
from gateway.settings.rules.draft import Draft

SUBJECT = "subject"


def check(draft: Draft) -> Iterator[Problem]:
    rules = {str(path[-1]): rule for path, rule in draft.parts(Rule, "rate_limits", "rules")}
    for number, name in enumerate(draft.items("rate_limits", "default")):
        if isinstance(name, str) and name in rules and SUBJECT in _keys(rules[name]):
            hint = "default rules also count requests that nobody authenticated: key them by client.address"
            yield draft.error(("rate_limits", "default", number), f"'{name}' is keyed by subject", hint)
    for path, rule in draft.parts(Rule, "rate_limits", "rules"):
        yield from _rule(draft, path, rule)
    yield from _routes(draft, rules)


def _rule(draft: Draft, path: tuple[str | int, ...], rule: Rule) -> Iterator[Problem]:
    keys = _keys(rule)
    if len(set(keys)) < len(keys):
        yield draft.error((*path, "key"), "a key is named twice")
    if keys == ["route"]:
        yield draft.warning((*path, "key"), "everybody shares one quota: a single client can use it up")
    if rule.methods == []:
        yield draft.error((*path, "methods"), "counts nothing: the list is empty", "leave it out for every method")
    if rule.burst is not None and rule.algorithm != "bucket" and rule.burst > rule.limit.count:
        yield draft.warning((*path, "burst"), "has no effect: it is larger than the limit")


def _routes(draft: Draft, rules: dict[str, Rule]) -> Iterator[Problem]:
    default = draft.items("rate_limits", "default")
    for place, route in draft.routes():
        for number, name in enumerate(draft.items(*place, "rate_limits")):
            path = (*place, "rate_limits", number)
            if not isinstance(name, str):
                continue
            if name in default:
                yield draft.warning(path, f"'{name}' is a default rule: it applies here anyway")
            if name in rules and route.get("anonymous") is True and SUBJECT in _keys(rules[name]):
                yield draft.warning(
                    path, f"'{name}' is keyed by subject, and everybody is anonymous here", "key it by client.address"
                )


def _keys(rule: Rule) -> list[str]:
    return list(rule.key) if isinstance(rule.key, list) else [rule.key]
