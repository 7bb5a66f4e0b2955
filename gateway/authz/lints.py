"""What `gateway policy lint` looks for: names that stay, how grave each is, what it means and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Lint:
    """One thing that is looked for. `checked` where `gateway check` tells it too, as a warning."""

    severity: str
    means: str
    do: str
    checked: bool = False


LINTS: Final[Mapping[str, Lint]] = {
    "unguarded-credential": Lint(
        "error",
        "An upstream credential stands on a path on which the policies of its own route are not asked. The built configuration is "
        "gone through and compared with what the files say; that nothing is found is the proof.",
        "Report it: no configuration may build this.",
    ),
    "uncovered-route": Lint(
        "warning",
        "A route without an enforced rule that allows anything: every request is denied.",
        "Write a rule, or remove the route.",
        True,
    ),
    "unserved-methods": Lint(
        "warning",
        "A rule about methods that none of its routes serves: it never speaks.",
        "Correct the methods, or remove the rule.",
        True,
    ),
    "never-matches": Lint(
        "warning",
        "A condition that cannot hold: it is false or without a value whatever is asked, or its parts exclude each other.",
        "Correct the condition, or remove the rule.",
    ),
    "shadowed": Lint(
        "warning",
        "A rule that changes nothing, since another one answers first wherever it speaks: a deny for everybody, or a rule of "
        "the same effect that asks for no more.",
        "Remove it, or narrow the other one.",
    ),
    "open-allow": Lint(
        "warning",
        "An allow without permission and condition on a route that asks who somebody is: whoever can log in may.",
        "Ask for a permission, or for what the principal must be.",
    ),
    "missing-parameter": Lint(
        "warning",
        "A condition reads a path parameter that some of the policy's routes do not have: there it has no value.",
        "Split the policy, or guard the parameter with `has()`.",
        True,
    ),
    "contradicting-fields": Lint(
        "warning",
        "Rules that can match the same request set a header field to different values: such a request is denied.",
        "Let their conditions exclude one another.",
        True,
    ),
    "ungranted-permission": Lint(
        "warning",
        "A rule asks for a permission that no role gives. An API key may still have it.",
        "Give it to a role, or correct its name.",
        True,
    ),
    "unreachable-permission": Lint(
        "warning",
        "A rule asks for a permission that only roles give which nobody gets.",
        "Bind one of these roles, or give the permission to another.",
    ),
    "unbound-role": Lint(
        "warning",
        "A role that no binding and no API key gives, and that none extends which somebody gets.",
        "Bind it, or remove it.",
    ),
    "ended": Lint(
        "warning", "A rule or a binding whose `expires_at` has passed: it does nothing.", "Take it out, or let it end later.", True
    ),
    "unending-emergency": Lint("warning", "A binding gives a break-glass role for ever.", "Add `expires_at`.", True),
    "any-issuer": Lint(
        "warning",
        "A condition gives a role without saying whose tokens it is about, and several issuers are configured.",
        "Compare `subject.issuer` too.",
        True,
    ),
    "crowded-cell": Lint(
        "warning",
        "More than 200 rules for one method of one route: each decision there may ask all of them.",
        "Split the route, or let one rule compare with a claim instead of many with constants.",
    ),
    "unused-permission": Lint("info", "A role gives a permission that no rule asks for.", "Remove it, or write the rule."),
    "silent-deny": Lint("info", "A deny without `reason`: whoever reads a trace is not told why it is there.", "Say why."),
    "untested-claim": Lint(
        "info",
        "A condition reads a claim that no subject of the tests has: no case can have seen it hold.",
        "Add a subject that has it.",
    ),
    "step-up-by-age": Lint(
        "info",
        "A `step_up` that names only `max_age`: any way of logging in is accepted, also the weakest.",
        "Name `acr` or `amr` too, where the issuer tells them.",
    ),
}
