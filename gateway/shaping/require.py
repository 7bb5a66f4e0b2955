"""Answers that must fulfil a condition: gathered, parsed strictly, asked about; of an array, item by item."""

import asyncio
import json
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final

from gateway.core.decision import Permit
from gateway.core.errors import Withheld
from gateway.core.message import Response
from gateway.core.obligations import Answer, Requirement
from gateway.core.reason import Reason
from gateway.core.strict_json import InvalidJson, parse
from gateway.shaping.faults import Unreadable

MOST: Final = 1024 * 1024
"""Bytes of an answer that is asked about."""
MUCH: Final = 32 * 1024
"""Bytes that are parsed in a thread: what is there by the time it takes is short enough for the event loop."""
BRIEF: Final = 0.002
"""Seconds of asking about items between two turns of the event loop."""


class Valueless(ValueError):
    """A condition that has no value for an answer."""


async def gathered(response: Response) -> bytes:
    """The whole body. Raises Unreadable beyond MOST, and what broke it."""
    body = bytearray(response.body)
    if response.stream is not None:
        async for piece in response.stream:
            body += piece
            if len(body) > MOST:
                break
    if len(body) > MOST:
        raise Unreadable(f"more than {MOST} bytes cannot be asked about")
    return bytes(body)


async def fulfilling(body: bytes, status: int, requirements: Sequence[Requirement], permit: Permit) -> bytes:
    """What of the body may be seen: all of it, or the items of an array that fulfil every requirement.

    Raises Withheld where it does not, and Unreadable for what is not JSON that all readers read alike.
    """
    value, items = await asyncio.to_thread(read, body) if len(body) > MUCH else read(body)
    if not isinstance(value, list):
        failing = unfulfilled(value, status, requirements, permit)
        if failing:
            raise withheld(failing, "a requirement does not hold")
        return body
    kept = []
    began = monotonic()
    for item, text in zip(value, items, strict=True):
        if monotonic() - began > BRIEF:
            await asyncio.sleep(0)
            began = monotonic()
        if not unfulfilled(item, status, requirements, permit):
            kept.append(text)
    return body if len(kept) == len(items) else f"[{','.join(kept)}]".encode()


def read(body: bytes) -> tuple[Any, list[str]]:
    """A document's value and, of an array, the text of each item. Raises Unreadable."""
    try:
        value = parse(body)
    except InvalidJson as error:
        raise Unreadable(f"not JSON that all readers read alike: {error}") from None
    return value, texts(body.decode("utf-8")) if isinstance(value, list) else []


def texts(document: str) -> list[str]:
    """The items of an array as they stand in a document known to be one."""
    scan = json.JSONDecoder().raw_decode
    found = []
    place = blank(document, document.index("[") + 1)
    while document[place] != "]":
        _, end = scan(document, place)
        found.append(document[place:end])
        place = blank(document, end)
        if document[place] == ",":
            place = blank(document, place + 1)
    return found


def blank(document: str, place: int) -> int:
    """Where white space ends that begins at a place."""
    while document[place] in " \t\n\r":
        place += 1
    return place


def unfulfilled(value: Any, status: int, requirements: Sequence[Requirement], permit: Permit) -> list[Requirement]:
    """Those of the requirements that do not hold. Together they spend from one purse for each value that is asked about: the
    event loop turns between them, and an array is not cut short."""
    answer = Answer(status, value)
    permit.access.purse = None
    return [each for each in requirements if not holds(each, answer, permit)]


def holds(requirement: Requirement, answer: Answer, permit: Permit) -> bool:
    """Whether the condition is true; one that has no value is not."""
    try:
        return asked(requirement, answer, permit) is True
    except Valueless:
        return False


def asked(requirement: Requirement, answer: Answer, permit: Permit) -> object:
    """What the condition says. Raises Valueless, whatever was wrong with it: conditions are another room's."""
    try:
        return requirement.holds(permit.principal, permit.access, answer)
    except Exception as error:
        raise Valueless(type(error).__name__) from error


def withheld(failing: Sequence[Requirement], why: str) -> Withheld:
    """The refusal. Who may not know that there is something is told what is told where there is nothing."""
    hidden = all(each.hidden for each in failing)
    return Withheld(why, reason=Reason.NOT_FOUND if hidden else Reason.RESPONSE_WITHHELD)
