"""What RFC 8259 lets stand in a document, as patterns over its bytes, for a reader that has it piece by piece.

No pattern tries a thing twice: every repetition is possessive and alternatives differ in their first byte, so that time grows with
the length of what is read and no faster. Where a pattern does not fit, the bytes are either the beginning of something, see
PARTIAL_*, or not JSON.
"""

import re
from typing import Final

MAX_DEPTH: Final = 64
"""As in core.strict_json."""
HELD: Final = 16 * 1024
"""Bytes between two values, a member's name among them, that are waited for until they are complete."""
LONGEST_SCALAR: Final = 3100
"""Bytes of a number, or of what may become one."""
NESTED: Final = 2
"""Levels that RUNS with `nested` go down."""

SPACE: Final = rb"[ \t\n\r]*+"
LITTLE_SPACE: Final = rb"[ \t\n\r]{0,64}+"
ESCAPE: Final = rb'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
LETTERS: Final = rb'[^"\\\x00-\x1f]'
TEXT: Final = LETTERS + rb"*+(?:" + ESCAPE + LETTERS + rb"*+)*+"
SHORT_NAME: Final = rb'"' + LETTERS + rb'{0,4096}+"'
NUMBER: Final = rb"-?+(?:0|[1-9][0-9]{0,999}+)(?:\.[0-9]{1,1000}+)?+(?:[eE][-+]?+[0-9]{1,1000}+)?+"
BARE: Final = rb"(?:" + NUMBER + rb"|true|false|null)(?=[ \t\n\r,\]}])"
SCALAR_TEXT: Final = rb'(?:"' + TEXT + rb'"|' + BARE + rb")"

BODY: Final = re.compile(TEXT)
"""What of a string there is: up to its end, to an escape that is not complete, or to what may not be in it."""
STRING: Final = re.compile(rb'"(' + TEXT + rb')"')
SCALAR: Final = re.compile(BARE)
"""A number, true, false or null, and something behind it."""
WHOLE_SCALAR: Final = re.compile(rb"(?:" + NUMBER + rb"|true|false|null)\Z")
PARTIAL_SCALAR: Final = re.compile(rb"[-+.0-9a-zE]{1,%d}+\Z" % LONGEST_SCALAR)
PARTIAL_ESCAPE: Final = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3}+)?+\Z")
WHITE: Final = re.compile(SPACE)

NAME: Final = rb'"(' + TEXT + rb')"' + SPACE + rb":" + SPACE
REST: Final = rb'"' + TEXT + rb'(?:\\(?:u[0-9a-fA-F]{0,3}+)?+\Z|"' + SPACE + rb"(?::" + SPACE + rb")?+)?+"
COMMA: Final = SPACE + rb"," + SPACE
LEAD: Final = {
    (True, False): re.compile(SPACE + NAME),
    (True, True): re.compile(COMMA + NAME),
    (False, False): re.compile(SPACE + rb"(?!\])"),
    (False, True): re.compile(COMMA),
}
"""What stands before a value, by whether it is a member's, and whether another came before it."""
PARTIAL_LEAD: Final = {
    (True, False): re.compile(SPACE + rb"(?:" + REST + rb")?+\Z"),
    (True, True): re.compile(SPACE + rb"(?:," + SPACE + rb"(?:" + REST + rb")?+)?+\Z"),
    (False, False): re.compile(SPACE + rb"\Z"),
    (False, True): re.compile(SPACE + rb"(?:," + SPACE + rb")?+\Z"),
}
CLOSE: Final = {True: re.compile(SPACE + rb"\}"), False: re.compile(SPACE + rb"\]")}


def nested(levels: int) -> bytes:
    """A value of at most so many levels."""
    if not levels:
        return SCALAR_TEXT
    value = nested(levels - 1)
    member = SHORT_NAME + LITTLE_SPACE + rb":" + LITTLE_SPACE + value
    text = rb'"' + TEXT + rb'"'
    return rb"(?:" + text + rb"|\{" + listed(member, rb"\}") + rb"\}|\[" + listed(value, rb"\]") + rb"\]|" + BARE + rb")"


def listed(one: bytes, close: bytes) -> bytes:
    """All that is between the brackets. Behind each there is a comma and another, or the end: so `one` stands here only once."""
    more = rb"," + LITTLE_SPACE + rb"(?!" + close + rb")"
    return LITTLE_SPACE + rb"(?>" + one + LITTLE_SPACE + rb"(?:" + more + rb"|(?=" + close + rb")))*+"


def run(value: bytes) -> re.Pattern[bytes]:
    """Any number of these, each behind a comma."""
    return re.compile(rb"(?>" + LITTLE_SPACE + rb"," + LITTLE_SPACE + value + rb")++")


RUNS: Final = {
    (is_object, deep): run((SHORT_NAME + LITTLE_SPACE + rb":" + LITTLE_SPACE if is_object else b"") + nested(NESTED if deep else 0))
    for is_object in (True, False)
    for deep in (True, False)
}
"""What follows the first value of a container, as many as are there with all their bytes; by whether they are members, and whether
they may be containers themselves."""
