"""A strict reader of RFC 9112, written apart from the gateway and from llhttp: what a message is, and where it ends.

Only what the grammar generates is a message, with liberties that llhttp takes, and that can make nothing of one message part of
another: empty lines before a start line are skipped, however they end (2.2 has it for requests); a reason, which nobody is told, may
hold any octets of one line, or be missing with the space before it.
"""

import re
from dataclasses import dataclass

Field = tuple[bytes, bytes]

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(%b) ([\x21-\x7e]+) HTTP/1\.([01])" % TOKEN)
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([0-9]{3})(?: [^\r\n]*)?")
FIELD_LINE = re.compile(rb"(%b):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*" % TOKEN)
QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
CHUNK = re.compile(rb"([0-9A-Fa-f]+)((?:[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?)*)" % (TOKEN, TOKEN, QUOTED))
LENGTH = re.compile(rb"[0-9]+")


class Broken(Exception):
    """These bytes begin no message."""


class Partial(Exception):
    """More bytes may make it a message. `head` tells whether its head is complete, and thus what is known of it."""

    def __init__(self, head: "Message | None" = None) -> None:
        super().__init__()
        self.head = head


@dataclass
class Message:
    """`first` and `second` are method and target, or status and nothing; `end` is where the next message begins.

    `last` tells that no other message may follow on the connection.
    """

    first: bytes
    second: bytes
    version: bytes
    fields: list[Field]
    body: bytes = b""
    end: int = 0
    last: bool = False

    def all(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key == name]


def requests(data: bytes) -> tuple[list[Message], Exception | None]:
    """The requests `data` holds, and what came after them: None for the end, Broken or Partial."""
    found: list[Message] = []
    at = 0
    while not (found and found[-1].last):
        at = behind_empty_lines(data, at)
        if at == len(data):
            return found, None
        try:
            message = request(data, at)
        except (Broken, Partial) as end:
            return found, end
        found.append(message)
        at = message.end
    return found, None


def request(data: bytes, at: int) -> Message:
    """The request that begins at `at`. Raises Broken, Partial."""
    line, at = line_at(data, at)
    found = REQUEST_LINE.fullmatch(line)
    if found is None:
        raise Broken(line)
    fields, at = fields_at(data, at)
    message = Message(found[1], found[2], b"1." + found[3], fields)
    codings, lengths = message.all(b"transfer-encoding"), message.all(b"content-length")
    options = {option.strip(b" \t").lower() for option in b",".join(message.all(b"connection")).split(b",")}
    upgrades = b"upgrade" in options and bool(message.all(b"upgrade"))
    message.last = found[3] == b"0" or b"close" in options or upgrades or found[1] == b"CONNECT"
    if codings:
        if len(codings) > 1 or codings[0].lower() != b"chunked" or lengths or found[3] == b"0":
            raise Broken(b"framing")
        message.body, message.end = chunked_at(data, at, message)
    else:
        message.body, message.end = sized_at(data, at, message, length_of(lengths))
    return message


def answer(data: bytes, at: int, *, bodiless: bool, closed: bool) -> Message:
    """The answer that begins at `at`; `bodiless` for one to HEAD, `closed` where no byte can follow. Raises Broken, Partial."""
    at = behind_empty_lines(data, at)
    line, at = line_at(data, at)
    found = STATUS_LINE.fullmatch(line)
    if found is None:
        raise Broken(line)
    fields, at = fields_at(data, at)
    message = Message(found[2], b"", b"1." + found[1], fields)
    if found[2] < b"200":
        if found[2] == b"101" or found[2] < b"100":
            raise Broken(line)
        return answer(data, at, bodiless=bodiless, closed=closed)
    codings, lengths = message.all(b"transfer-encoding"), message.all(b"content-length")
    length = length_of(lengths) if lengths else None
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked" or lengths or found[1] == b"0"):
        raise Broken(b"framing")
    if bodiless or found[2] in (b"204", b"304"):
        message.end = at
    elif codings:
        message.body, message.end = chunked_at(data, at, message)
    elif length is not None:
        message.body, message.end = sized_at(data, at, message, length)
    elif closed:
        message.body, message.end, message.last = data[at:], len(data), True
    else:
        raise Partial(message)
    return message


def behind_empty_lines(data: bytes, at: int) -> int:
    return len(data) - len(data[at:].lstrip(b"\r\n"))


def line_at(data: bytes, at: int) -> tuple[bytes, int]:
    """One line and where the next begins. A CR or LF that is no line end breaks it."""
    end = data.find(b"\r\n", at)
    line = data[at:] if end < 0 else data[at:end]
    if b"\n" in line or b"\r" in (line if end >= 0 else line[:-1]):
        raise Broken(line)
    if end < 0:
        raise Partial
    return line, end + 2


def fields_at(data: bytes, at: int) -> tuple[list[Field], int]:
    """A header or trailer section and where its content ends."""
    fields: list[Field] = []
    while True:
        line, at = line_at(data, at)
        if not line:
            return fields, at
        found = FIELD_LINE.fullmatch(line)
        if found is None:
            raise Broken(line)
        fields.append((found[1].lower(), found[2]))


def length_of(values: list[bytes]) -> int:
    if len(values) > 1 or not all(map(LENGTH.fullmatch, values)):
        raise Broken(b"length")
    return int(values[0]) if values else 0


def sized_at(data: bytes, at: int, message: Message, length: int) -> tuple[bytes, int]:
    if len(data) - at < length:
        raise Partial(message)
    return data[at : at + length], at + length


def chunked_at(data: bytes, at: int, message: Message) -> tuple[bytes, int]:
    """A chunked body, decoded; its trailers are read and dropped."""
    pieces: list[bytes] = []
    try:
        while True:
            line, at = line_at(data, at)
            found = CHUNK.fullmatch(line)
            if found is None:
                raise Broken(line)
            size = int(found[1], 16)
            if not size:
                return b"".join(pieces), fields_at(data, at)[1]
            piece, at = sized_at(data, at, message, size)
            pieces.append(piece)
            end = data[at : at + 2]
            if end != b"\r\n":
                raise Broken(end) if not b"\r\n".startswith(end) else Partial(message)
            at += 2
    except Partial as partial:
        raise Partial(message) from partial
