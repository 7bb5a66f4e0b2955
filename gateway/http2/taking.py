"""Frames as they arrive on a link, each kind by its own rules (RFC 9113 5.1, 6).

A rule broken on one stream raises StreamFault, one broken on the connection ConnectionFault; so does what breaks no rule but costs
us more than the other end.
"""

from typing import TYPE_CHECKING, Final

from gateway.http2 import frames, settings
from gateway.http2.frames import LARGEST, Code, ConnectionFault, Frame, StreamFault

if TYPE_CHECKING:
    from gateway.http2.link import Link

MOST_FRAGMENTS: Final = 16
"""CONTINUATION frames of one head (CVE-2024-27316)."""
NEVER: Final = {
    frames.PUSH_PROMISE: "a pushed stream",  # a client pushes nothing, and we take nothing that is pushed (6.6)
    frames.CONTINUATION: "a head that goes on without having begun",
}


def take(link: "Link", frame: Frame) -> None:
    """One frame. Raises StreamFault, ConnectionFault."""
    if link.block is not None:
        go_on(link, frame, *link.block)
    elif not link.settled and (frame.kind != frames.SETTINGS or frame.flags & frames.ACK):
        raise ConnectionFault(Code.PROTOCOL_ERROR, "the connection does not begin with settings")
    elif frame.kind in NEVER:
        raise ConnectionFault(Code.PROTOCOL_ERROR, NEVER[frame.kind])
    elif (rule := RULES.get(frame.kind)) is not None:
        rule(link, frame)
    else:
        link.nuisances.spend("unknown frames")


def data(link: "Link", frame: Frame) -> None:
    """6.1. Credit is taken for padding too, and given back at once for what nobody will read."""
    if not frame.stream:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "data of no stream")
    payload = frames.unpadded(frame)
    link.credit -= frame.size
    if link.credit < 0:
        raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "more data than the connection's window")
    end = bool(frame.flags & frames.END_STREAM)
    if not (payload or end):
        link.nuisances.spend("empty frames")
    stream = link.streams.get(frame.stream)
    if stream is None or stream.heard:
        link.repay(frame.size)
        closed(link, frame)
        return
    stream.credit -= frame.size
    if stream.credit < 0:
        link.repay(frame.size)
        raise StreamFault(stream.id, Code.FLOW_CONTROL_ERROR, "more data than the stream's window")
    stream.heard = end
    link.taken(stream, frame.size - len(payload))
    link.owner.body(stream, payload, end)
    link.ended(stream)


def headers(link: "Link", frame: Frame) -> None:
    """6.2. A head may go on in other frames, between which no others may come."""
    if not frame.stream:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "a head of no stream")
    block = frames.unpadded(frame)
    if not frame.flags & frames.END_HEADERS:
        link.block = frame, [block]
        return
    complete(link, frame, block)


def go_on(link: "Link", frame: Frame, first: Frame, pieces: list[bytes]) -> None:
    """6.10. Nothing else may come before the head is complete, which it has to be soon."""
    if frame.kind != frames.CONTINUATION or frame.stream != first.stream:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "a head that is interrupted")
    pieces.append(frame.payload)
    if len(pieces) > MOST_FRAGMENTS or sum(map(len, pieces)) > 2 * link.bounds.head:
        raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "a head that does not end")
    if frame.flags & frames.END_HEADERS:
        link.block = None
        complete(link, first, b"".join(pieces))


def complete(link: "Link", frame: Frame, block: bytes) -> None:
    """A whole header block. It is read in any case: the next one may refer to it (RFC 7541 2.2)."""
    fields = link.fields.read(block)
    stream = link.streams.get(frame.stream)
    end = bool(frame.flags & frames.END_STREAM)
    if stream is None:
        if link.client or frame.stream <= link.highest or not frame.stream % 2:
            closed(link, frame)
            return
        if frame.stream > link.last:
            link.nuisances.spend("streams behind a farewell")
            return  # the other end knows that it is not looked at
        link.highest = frame.stream
        if len(link.streams) >= link.bounds.streams:
            link.aborted.spend("streams at once")
            link.refuse(frame.stream, Code.REFUSED_STREAM)
            return
        stream = link.made(frame.stream)
    elif stream.heard:
        raise StreamFault(stream.id, Code.STREAM_CLOSED, "a head behind the end")
    stream.heard = end
    link.owner.head(stream, fields, end)
    link.ended(stream)


def closed(link: "Link", frame: Frame) -> None:
    """Data or a head for a stream that cannot have any (5.1): on its way while we reset it, or against the rules.

    Of streams that we opened it is taken to be on its way: whoever had it reset must not end the connection for others.
    """
    if link.client and frame.stream not in link.streams and not is_idle(link, frame.stream):
        return
    if frame.stream in link.streams or frame.stream in link.reset_by_us:
        link.nuisances.spend("frames of streams that were reset")
        if frame.stream in link.streams:
            raise StreamFault(frame.stream, Code.STREAM_CLOSED, "data behind the end")
    elif is_idle(link, frame.stream):
        raise ConnectionFault(Code.PROTOCOL_ERROR, "a stream that was not opened")
    elif frame.stream <= link.last:
        raise ConnectionFault(Code.STREAM_CLOSED, "a stream that has ended")
    else:
        link.nuisances.spend("streams behind a farewell")


def is_idle(link: "Link", stream: int) -> bool:
    """Whether a stream was never opened. Those above our last word were, as far as the other end knows."""
    ours = bool(stream % 2) == link.client
    return stream >= link.next if ours else link.highest < stream <= link.last


def priority(link: "Link", frame: Frame) -> None:
    """6.3: heeded by nobody any more (5.3.2)."""
    if not frame.stream:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "the priority of no stream")
    link.nuisances.spend("priorities")
    if frame.size != 5:
        raise StreamFault(frame.stream, Code.FRAME_SIZE_ERROR, "a priority of a wrong size")


def rst_stream(link: "Link", frame: Frame) -> None:
    """6.4."""
    if frame.size != 4:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a reset of a wrong size")
    if not frame.stream or is_idle(link, frame.stream):
        raise ConnectionFault(Code.PROTOCOL_ERROR, "the reset of a stream that was not opened")
    stream = link.streams.get(frame.stream)
    if stream is None:
        if not link.client:  # else both ends broke it off at once, see `closed`
            link.nuisances.spend("resets")
        return
    link.lost(stream, int.from_bytes(frame.payload, "big"))
    link.aborted.spend("resets")


def told(link: "Link", frame: Frame) -> None:
    """6.5."""
    values = settings.told(frame, by_client=not link.client)
    if frame.flags & frames.ACK:
        return
    link.nuisances.spend("settings")
    outgoing = link.outgoing
    if (window := values.get(settings.INITIAL_WINDOW_SIZE)) is not None:
        by, outgoing.first_window = window - outgoing.first_window, window
        for stream in link.streams.values():
            stream.window += by
            if stream.window > LARGEST:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE")
            outgoing.opened(stream)
    outgoing.most = min(values.get(settings.MAX_FRAME_SIZE, outgoing.most), frames.MAX_FRAME)
    link.peer_streams = values.get(settings.MAX_CONCURRENT_STREAMS, link.peer_streams)
    link.settled = True
    outgoing.control(frames.rendered(frames.SETTINGS, frames.ACK, 0))
    link.owner.settled()
    outgoing.pump()


def ping(link: "Link", frame: Frame) -> None:
    """6.7."""
    if frame.stream:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "a ping of a stream")
    if frame.size != 8:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a ping of a wrong size")
    link.nuisances.spend("pings")
    if frame.flags & frames.ACK:
        link.pongs += 1
    else:
        link.outgoing.control(frames.rendered(frames.PING, frames.ACK, 0, frame.payload))


def goaway(link: "Link", frame: Frame) -> None:
    """6.8. Streams up to the last one go on."""
    if frame.stream:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "a stream goes away")
    if frame.size < 8:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a farewell of a wrong size")
    link.nuisances.spend("farewells")
    link.owner.leaving(int.from_bytes(frame.payload[:4], "big") & LARGEST, int.from_bytes(frame.payload[4:8], "big"))


def window_update(link: "Link", frame: Frame) -> None:
    """6.9."""
    if frame.size != 4:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a window update of a wrong size")
    link.nuisances.spend("window updates")
    by = int.from_bytes(frame.payload, "big") & LARGEST
    outgoing = link.outgoing
    if not frame.stream:
        outgoing.window += by
        if not by or outgoing.window > LARGEST:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR if by else Code.PROTOCOL_ERROR, "the connection's window")
    elif (stream := link.streams.get(frame.stream)) is not None:
        stream.window += by
        if not by or stream.window > LARGEST:
            raise StreamFault(stream.id, Code.FLOW_CONTROL_ERROR if by else Code.PROTOCOL_ERROR, "a stream's window")
        outgoing.opened(stream)
    elif is_idle(link, frame.stream):
        raise ConnectionFault(Code.PROTOCOL_ERROR, "the window of a stream that was not opened")
    outgoing.pump()


RULES: Final = {
    frames.DATA: data,
    frames.HEADERS: headers,
    frames.PRIORITY: priority,
    frames.RST_STREAM: rst_stream,
    frames.SETTINGS: told,
    frames.PING: ping,
    frames.GOAWAY: goaway,
    frames.WINDOW_UPDATE: window_update,
}
