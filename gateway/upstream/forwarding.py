"""From where: Forwarded (RFC 7239) and X-Forwarded-*, for upstreams of our own.

What a trusted proxy said is continued, what anybody else said never arrives here.
"""

from gateway.core.message import Field, Head


def origin(peer: str, authority: str, secure: bool) -> tuple[Field, ...]:
    """Forwarded, X-Forwarded-For, -Proto and -Host of a request that nobody we believe has forwarded before."""
    return _fields([], [], peer, authority, secure=secure)


def continued(head: Head) -> tuple[Field, ...]:
    """The same fields behind what proxies we believe have said."""
    forwarded, chain = _believed(head)
    return _fields(forwarded, chain, head.peer, head.authority, secure=head.secure)


def _fields(forwarded: list[bytes], chain: list[bytes], peer: str, authority: str, *, secure: bool) -> tuple[Field, ...]:
    scheme = b"https" if secure else b"http"
    host = authority.encode("ascii")
    element = b"for=" + _node(peer) + b";host=" + _quoted(host) + b";proto=" + scheme
    return (
        (b"forwarded", b", ".join([*forwarded, element])),
        (b"x-forwarded-for", b", ".join([*chain, peer.encode("ascii") or b"unknown"])),
        (b"x-forwarded-proto", scheme),
        (b"x-forwarded-host", host),
    )


def _believed(head: Head) -> tuple[list[bytes], list[bytes]]:
    """The elements of Forwarded and of X-Forwarded-For before ours: the believed family as it came, the other from it."""
    if not head.trusted or not head.forwarded:
        return [], []
    forwarded = [value for name, value in head.forwarded if name == b"forwarded" and value]
    chain = [value for name, value in head.forwarded if name == b"x-forwarded-for" and value]
    if head.client != head.peer:
        forwarded = forwarded or [b"for=" + _node(head.client)]
        chain = chain or [head.client.encode("ascii")]
    return forwarded, chain


def _node(address: str) -> bytes:
    """RFC 7239 6: IPv6 in brackets and quotes; no address (a unix socket) is `unknown`."""
    if not address:
        return b"unknown"
    return b'"[' + address.encode("ascii") + b']"' if ":" in address else address.encode("ascii")


def _quoted(host: bytes) -> bytes:
    """A quoted-string where RFC 7239 4 demands one (a port's colon, brackets); intake refuses quotes and backslashes."""
    return b'"' + host + b'"' if b":" in host else host
