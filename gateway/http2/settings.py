"""SETTINGS (RFC 9113 6.5): ours to tell, the other end's to judge."""

from typing import Final

from gateway.http2 import frames
from gateway.http2.frames import Code, ConnectionFault, Frame

HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6
ENTRY: Final = 6
MOST: Final = 64
"""Settings in one frame: there are not half as many."""
LARGEST_FRAME: Final = (1 << 24) - 1


def announced(streams: int, window: int, head: int, *, client: bool) -> bytes:
    """What a connection begins with, from our end. A client takes no pushed streams, so it says nothing of their number."""
    values = {INITIAL_WINDOW_SIZE: window, MAX_HEADER_LIST_SIZE: head}
    values |= {ENABLE_PUSH: 0} if client else {MAX_CONCURRENT_STREAMS: streams}
    return (frames.PREFACE if client else b"") + frames.settings(values)


def told(frame: Frame, *, by_client: bool) -> dict[int, int]:
    """The other end's settings, each as said last. Raises ConnectionFault."""
    payload = frame.payload
    if frame.stream:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "settings of a stream")
    if len(payload) % ENTRY or (frame.flags & frames.ACK and payload):
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "settings of a wrong size")
    if len(payload) > MOST * ENTRY:
        raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "too many settings at once")
    values: dict[int, int] = {}
    for at in range(0, len(payload), ENTRY):
        name, value = int.from_bytes(payload[at : at + 2], "big"), int.from_bytes(payload[at + 2 : at + ENTRY], "big")
        judge(name, value, by_client=by_client)
        values[name] = value
    return values


def judge(name: int, value: int, *, by_client: bool) -> None:
    """RFC 9113 6.5.2."""
    if name == ENABLE_PUSH and value > by_client:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "ENABLE_PUSH")
    if name == INITIAL_WINDOW_SIZE and value > frames.LARGEST:
        raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE")
    if name == MAX_FRAME_SIZE and not frames.MAX_FRAME <= value <= LARGEST_FRAME:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "MAX_FRAME_SIZE")
