"""What the subjects of a case see of an upstream's answer. What shapes it is handed in: the code that does in earnest."""

import json
import re
from collections.abc import Callable
from typing import Any, Final

from gateway.authz.model import Answered, Case, Seen
from gateway.core.decision import Permit
from gateway.core.errors import GatewayError, Withheld
from gateway.core.json_path import JsonPath, written
from gateway.core.message import Response
from gateway.core.reason import Reason

See = Callable[[Response, Permit], Response]
"""The answer as the client gets it, its body not a stream. Raises Withheld."""

TOKEN: Final = re.compile("hmac:[0-9a-f]{32}")
HASHED: Final = "hmac:"
"""What stands for every hashed value: a case does not know the key."""
SHOWN: Final = 120
WITHHELD: Final = {Reason.RESPONSE_WITHHELD: "withheld", Reason.NOT_FOUND: "not-found"}
BODILESS: Final = (204, 304)


def unlike(case: Case, subject: str, permit: Permit, see: See | None) -> str:
    """How what an allowed subject sees differs from what the case expects, "" where it does not."""
    answered, expected = case.response, case.sees.get(subject)
    if answered is None or expected is None:
        return ""
    if see is None:
        return "nothing here shapes an answer"
    bare = permit.access.request.method == "HEAD" or answered.status in BODILESS or "body" not in answered.model_fields_set
    body = b"" if bare else _bytes(answered)
    try:
        got = see(Response(answered.status, [(b"content-type", answered.content_type.encode("latin-1"))], body, own=False), permit)
    except Withheld as error:
        return _told(expected, WITHHELD.get(error.reason, str(error.reason)), f" ({error.detail})")
    except GatewayError as error:
        return f"the answer is refused: {error.reason}"
    if not got.body:
        return _told(expected, "empty", "")
    if not isinstance(expected, Seen):
        return f"expected {subject} to see {expected}, got {_shown(_value(answered, got.body))}"
    return _differs(_hashed(expected.body), _hashed(_value(answered, got.body)), ())


def _told(expected: Seen | str, got: str, why: str) -> str:
    wanted = "a body" if isinstance(expected, Seen) else expected
    return "" if wanted == got else f"expected to see {wanted}, got {got}{why}"


def _is_text(answered: Answered) -> bool:
    """Whether the body is written as it stands on the wire: that of another type than one JSON document."""
    essence = answered.content_type.partition(";")[0].strip().lower()
    return isinstance(answered.body, str) and essence != "application/json" and not essence.endswith("+json")


def _bytes(answered: Answered) -> bytes:
    return (answered.body if _is_text(answered) else json.dumps(answered.body, ensure_ascii=False)).encode("utf-8")


def _value(answered: Answered, body: bytes) -> Any:
    text = body.decode("utf-8")
    return text if _is_text(answered) else json.loads(text)


def _hashed(value: Any) -> Any:
    """The same with every hash told as such, and no tuples."""
    return json.loads(TOKEN.sub(HASHED, json.dumps(value)))


def _differs(expected: Any, got: Any, path: JsonPath) -> str:
    """The first difference of two JSON values, "" where there is none. A number with a fraction is another one than without."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for name in sorted({*expected, *got}):
            here = (*path, name)
            if name not in got:
                return f"expected to see {written(here)}, which is left out"
            if name not in expected:
                return f"expected not to see {written(here)}, which is {_shown(got[name])}"
            if found := _differs(expected[name], got[name], here):
                return found
        return ""
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        pairs = enumerate(zip(expected, got, strict=True))
        return next((found for place, pair in pairs if (found := _differs(*pair, (*path, place)))), "")
    if type(expected) is type(got) and expected == got:
        return ""
    return f"expected to see {_shown(expected)} at {written(path)}, got {_shown(got)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
