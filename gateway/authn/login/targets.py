"""Where a login may lead: a path of our own origin, and nothing that any browser could read as something else."""

import re
from typing import Final
from urllib.parse import unquote

LONGEST: Final = 1500
PATH: Final = re.compile(r"/(?![/\\])[A-Za-z0-9._~!$&'()*+,;=:@%/-]*(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?", re.ASCII)
"""One slash, then RFC 3986's characters: no second slash or backslash, control character, space or fragment."""
DOTS: Final = re.compile(r"(?:^|/)\.{1,2}(?:/|;|$)")
HIDDEN: Final = re.compile(r"[\x00-\x1f\x7f-\xa0\\]|//|^/ ")


def target(asked: str | None) -> str:
    """The path, with its query; `/` for whatever is not plainly one (CVE-2021-21291, GHSA-j7px-6hwj-hpjg, CVE-2024-21497)."""
    if asked is None or len(asked) > LONGEST or not PATH.fullmatch(asked):
        return "/"
    path = asked.partition("?")[0]
    for _ in range(3):  # what is encoded, perhaps twice, is judged as what it becomes
        if HIDDEN.search(path) or DOTS.search(path):
            return "/"
        path = unquote(path, errors="replace")
    return "/" if HIDDEN.search(path) or DOTS.search(path) else asked
