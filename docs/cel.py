"""The reference page of the condition language, its tables from the code."""

from docs.tables import table
from gateway.authz.attributes import POLICIES
from gateway.authz.cel import calendar, checker, lexer, limits, parser, patterns, types
from gateway.authz.cel.functions import FUNCTIONS, IN_SET, Function

INTRODUCTION = """\
Conditions (`when`, `unless`, `let`, `require_response`) are written in a strict subset of
[CEL](https://github.com/google/cel-spec), the Common Expression Language. What is accepted means exactly what the
specification says; everything else is an error when the file is loaded, with its place. Nothing is guessed, and nothing is
found out on a request that could be known before.

**An error is never a no.** A condition that has no value (a claim is missing, a type does not fit, a limit is passed) cancels
an allow and triggers a deny. `has(x.y)` asks whether something is there. As in CEL, an error beside an operand that decides
does not count: `missing == 1 || true` is true and `missing == 1 && false` is false, in either order; the same holds for the
items of `all` and `exists`."""

TYPES = """\
`bool`, `int` (64 bits, signed), `double`, `string`, `null`, `list`, `map` with strings as keys, `timestamp`, `duration`, and
Kubernetes' `ip` and `cidr`. Claims, query values and bodies are of type `dyn`: they have the types JSON gave them, and an
operator that does not fit them is an error on that request. Where types are known, they are checked at load: `1 == 1.0` and
`request.method == 1` are refused. Numbers of different types are equal by value where their types are `dyn` (`1` and `1.0`),
and never mix in arithmetic: write `int()` or `double()`. A JSON integer of more than 64 bits is an error wherever it is
compared or computed with. Strings are compared by code points and never normalised: `é` in one and in two code points differ,
and so do a Latin and a Cyrillic letter of one shape. Names are ASCII, so that nothing can look like another name."""

OPERATORS = [
    ["`a ? b : c`", "both sides of one type, or `dyn`"],
    ["`a && b`, `a || b`, `!a`", "bools; errors are absorbed in either order"],
    ["`== !=`", "within one type; lists and maps by their items"],
    ["`< <= > >=`", "int, double, string, bool, timestamp, duration"],
    ["`in`", "an item of a list, a key of a map, a header by its name; never a part of a string"],
    ["`x.f`, `x['f']`, `x[0]`", "a field, a key, an item from 0; what is not there is an error"],
    ["`has(x.f)`, `has(x['f'])`", "whether a map has a key; an error where `x` is no map"],
]

SEMANTICS = """\
An int that leaves 64 bits is an error, `/` goes toward zero, `%` has the sign of its left side, division by zero is an error.
Doubles are IEEE 754: `1.0 / 0.0` is infinity. A timestamp lies in the years 1 to 9999, a duration in 64 bits of nanoseconds
(292 years): what leaves them is an error."""

MACRO_ROWS = [
    ["`x.all(i, test)`", "every item passes; an error counts only where no item fails"],
    ["`x.exists(i, test)`", "some item passes; an error counts only where no item passes"],
    ["`x.exists_one(i, test)`, `x.existsOne(i, test)`", "exactly one passes; any error is an error"],
    ["`x.filter(i, test)`", "the list of those that pass"],
    ["`x.map(i, value)`, `x.map(i, test, value)`", "the list of values, of those that pass"],
]

AFTER_MACROS = """\
Over a map they go through its keys. The name of the item means nothing else there: one that is a field's first word, a `let`,
a function or the item of a macro around it is refused."""

OURS = """\
`glob(text, 'a/*/b')`: `*` stands for any text without a slash, `**` alone between slashes for any number of segments, also
none (`/v1/**` fits `/v1` and all below it). Every other character stands for itself.

`within(env.now, 'Mon-Fri 09:00-17:00, Sat', 'Europe/Berlin')`: windows with commas between; a day or a range of days, hours,
or both. Days are Mon to Sun, hours 00:00 to 24:00, the first minute belongs to a window and the last does not. A window that
ends before it starts runs over midnight and belongs to the day it starts on. What counts is the clock on the wall of the
zone, also on the days it is put forward or back: an hour that comes twice is inside twice.

`inSet(request.client_ip, 'office')`: the set is defined in the policies; its name is a literal. Ten thousand networks cost
what one does, twice over.

Time zones are literals too: names of the IANA database as this machine has it (Debian and Alpine: the package `tzdata`; it is
in the image), or offsets like `+02:00`. A zone that is not known is an error at load."""

DIFFERENCES = """\
- Outside, and refused at load: `uint` and bytes, `type()` and `dyn()`, messages and enums, optional values (`.?`),
  back-quoted names, keys of maps that are not strings, `cel.bind` (use `let`), macros with two names (`x.all(i, v, …)`),
  `transformList`, `transformMap`, `format`, `quote`, `reverse`, the math, sets, lists and encoders extensions.
- A part of constants alone is computed at load; one that has no value (`1 / 0`, `timestamp('yesterday')`) is refused, even
  where others would absorb its error.
- `int()`, `double()` and `bool()` read only what every engine reads alike: no white space, no `+`, no `inf` or `nan`, no bare
  `.5`. `string()` does not take doubles, timestamps and durations, whose text differs between engines. `duration()` takes
  nothing finer than a nanosecond.
- A pattern of `matches()` is a literal. It needs RE2: `pip install 'latchgate[matches]'`, which the image and the lock files
  have. There is no wheel of it for musl: on Alpine a condition with `matches()` is an error at load, everything else works.
- A `cidr()` written out may have no bits behind its prefix: `10.0.0.1/8` is a mistake for `10.0.0.0/8`. An IPv4-mapped IPv6
  address (`::ffff:10.0.0.1`) is refused by `ip()` and `cidr()` as in Kubernetes, but `containsIP()` and `inSet()` take it for
  the IPv4 address inside, so that no other spelling leads out of a deny list.
- `x['f']` may stand in `has()`. `request.headers` can only be asked by literal lower-case names."""


def page() -> list[str]:
    """The lines of docs/reference/cel.md."""
    lines = ["# The condition language", "", *INTRODUCTION.split("\n"), "", "## Types", "", *TYPES.split("\n")]
    lines += ["", "## What conditions read", "", *table(["name", "type"], _variables())]
    lines += ["", "## Operators", "", *table(["operator", "means"], _operators()), "", *SEMANTICS.split("\n")]
    lines += ["", "## Macros", "", *table(["macro", "means"], MACRO_ROWS), "", *AFTER_MACROS.split("\n")]
    lines += ["", "## Functions", "", *table(["call", "gives", "means", "from"], _functions())]
    lines += ["", "## Ours", "", *OURS.split("\n"), "", "## Limits", "", *table(["limit", "value"], _limits())]
    lines += ["", *COST.split("\n"), "", "## Differences to the whole of CEL", "", *DIFFERENCES.split("\n")]
    return [*lines, "", "## How this is shown", "", *PROOF.split("\n")]


COST = """\
A unit of cost is about a tenth of a microsecond. At load, every part is counted with the largest texts and lists it could
meet; macros spend from a purse while they run, by their turns and by the sizes of what they work on. The conditions of all
rules that are asked about one request share one purse, and so do the fields that rules set. An empty purse is an error that
nothing absorbs: from there on a condition with a macro has no value, so that a deny denies and an allow does not allow, while
conditions without one go on as before. The loops of a decision therefore take some 30 ms at worst, however many rules there are
and whatever a client sends; a usual condition takes less than half a microsecond.

- Shadow rules come after the enforced ones and spend from a copy of what is left: they never cost an enforced rule its value, and
  take as long again at most.
- `require_response` has a purse for each value it is asked about, an answer or an item of an array, and other requests are
  served between items.
- A binding's condition has a purse of its own.
- The trace of `audit: full` and of break-glass roles has a small purse; what it does not pay for is
  `not evaluated: costs too much`, and whether that rule matched is `null`."""

PROOF = """\
`make fuzz-cel` compares random conditions with Google's engine (cel-cpp) until 200,000 were accepted by both; `make test`
does a part of it. The differences that are known stand in `tests/external/test_cel_differential.py`, each with its reason. Of
the 2,452 conformance cases of the specification, 802 lie in the subset and all give the expected result; 1,002 are refused at
load, and 648 need values that conditions do not have (messages, enums, bytes, unsigned numbers).
`tests/external/test_cel_conformance.py` holds these counts."""


def _variables() -> list[list[str]]:
    return [[f"`{name}`", f"{variable.type}"] for name, variable in sorted(POLICIES.variables.items())]


def _operators() -> list[list[str]]:
    signs = [sign for _, sign in sorted((binding, sign) for sign, binding in parser.BINDING.items()) if sign in "+-*/%"]
    rows = [
        [f"`{left} {sign} {right}`", f"{result}"]
        for sign in signs
        for used, left, right, result in types.ARITHMETIC
        if sign in used
    ]
    return [*OPERATORS, ["`-a`", "int or double"], *rows]


def _functions() -> list[list[str]]:
    return [_function(function) for function in (*FUNCTIONS.values(), IN_SET)]


def _function(function: Function) -> list[str]:
    calls = [_call(function, [f"{type}" for type in overload.parameters]) for overload in function.overloads]
    results = list(dict.fromkeys(f"{overload.result}" for overload in function.overloads))
    if function is IN_SET:
        calls = ["`inSet(string, 'name')`", "`inSet(ip, 'name')`"]
    origin = "**ours**" if function.ours else function.origin
    return [" ".join(calls), ", ".join(results), function.about, origin]


def _call(function: Function, parameters: list[str]) -> str:
    if not function.method or function.name == "size":
        return f"`{function.name}({', '.join(parameters)})`"
    target, *others = parameters
    return f"`{target}.{function.name.removeprefix('.')}({', '.join(others)})`"


def _limits() -> list[list[str]]:
    return [
        ["bytes of one expression", f"{lexer.MAX_BYTES:,}"],
        ["depth of one expression; with its `let`s", f"{parser.MAX_DEPTH}; {checker.MAX_DEPTH}"],
        ["parts of one expression with its `let`s", f"{checker.MAX_NODES:,}"],
        ["items of a list that is written out", f"{parser.MAX_ITEMS:,}"],
        ["macros inside one another", f"{limits.MAX_NESTING}"],
        ["items a macro goes through; that `in`, `==` and `+` look at in lists and maps of JSON", f"{limits.MAX_ITEMS:,}"],
        ["characters a function of strings takes or makes", f"{limits.MAX_TEXT:,}"],
        ["characters of a pattern; steps of its program", f"{patterns.MAX_PATTERN}; {patterns.MAX_PROGRAM:,}"],
        ["bytes that `matches()` reads; characters that `glob()` does", f"{patterns.MAX_MATCHED:,}; {patterns.MAX_GLOBBED:,}"],
        ["windows of `within()`", f"{calendar.MAX_WINDOWS}"],
        ["cost of a condition by its parts, in units", f"{limits.MAX_COST:,}"],
        ["cost of the loops of all conditions asked about one request, in units", f"{limits.MAX_SPENT:,}"],
        ["cost of the loops of a trace, in units", f"{limits.MAX_TRACED:,}"],
    ]
