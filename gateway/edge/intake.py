"""Is this a decent message? The only maker of a Request and its Head.

Refuses what two servers might read differently (RFC 9112, attacks on framing, Host and path), settles who the client is,
and hands on one parsed form that is authorised and forwarded alike.
"""

import re
from typing import Final

from gateway.core.errors import BadRequest
from gateway.core.message import MOST_NOTED, Field, Head, Inbound, Request
from gateway.core.path import PLAIN, canonical, refuse_query
from gateway.core.reason import Reason
from gateway.edge import peer
from gateway.edge.model import Listen

HOST: Final = re.compile(rb"([A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")
ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
QUERY: Final = re.compile(rb"[!\"$-~]*")
# Fields that mean one thing or nothing: two of them is an attack on whoever reads the other one.
SINGLE: Final = frozenset(
    (b"host", b"content-length", b"transfer-encoding", b"authorization", b"content-type", b"expect", b"origin")
)
VERSIONS: Final = frozenset(("1.1", "1.0", "2"))
NOT_IMPLEMENTED: Final = frozenset(("CONNECT", "TRACE"))
FRAMING: Final = frozenset((b"content-length", b"transfer-encoding", b"expect"))
NONE_REPEATED: Final[frozenset[bytes]] = frozenset()
REMEMBERED: Final = 1024

CLIENT_BY: Final = {"x-forwarded-for": peer.by_x_forwarded_for, "forwarded": peer.by_forwarded}
CERTIFICATE_BY: Final = {"client-cert": peer.by_client_cert, "xfcc": peer.by_xfcc}
FAMILY: Final = {
    "x-forwarded-for": frozenset((b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")),
    "forwarded": frozenset((b"forwarded",)),
}


class Intake:
    """One listener's judgement of what arrives."""

    def __init__(self, name: str, listen: Listen) -> None:
        self._name = name
        self._trusted = peer.Networks(listen.trusted_proxies)
        # Behind a load balancer that only passes bytes on, what comes over a unix socket are strangers' words.
        self._on_unix = listen.address.startswith("unix:") and listen.proxy_protocol is None
        self._trusting = bool(listen.trusted_proxies) or self._on_unix
        self._client_by = CLIENT_BY.get(listen.client_address)
        self._family = FAMILY.get(listen.client_address, frozenset())
        self._certificate_by = CERTIFICATE_BY.get(listen.client_certificate)
        self._body_limit = listen.limits.body
        self._binds_name = listen.tls is not None and listen.tls.client_auth != "none"
        self._hosts = (
            None if listen.hosts == "any" else frozenset(host.lower() for host in listen.hosts if not host.startswith("*."))
        )
        self._suffixes = () if listen.hosts == "any" else tuple(host.lower()[1:] for host in listen.hosts if host.startswith("*."))
        self._authorities: dict[bytes, tuple[str, str]] = {}

    def admit(self, inbound: Inbound) -> Request:
        """Admit, or raise BadRequest with the precise reason."""
        if inbound.fault is not None:
            raise inbound.fault
        memo = inbound.memo
        head: Head | None = None if memo is None else memo.get(self)
        if head is None:
            head = self._head(inbound)
            if memo is not None and len(memo) < MOST_NOTED:
                memo[self] = head
        elif memo is not None and head.headers is not inbound.headers:
            head = self._of_another_length(head, inbound)
            memo[self] = head
        target = inbound.target
        if target.find(b"#") >= 0 or not target.startswith(b"/"):
            target = origin_form(target, head.fields[b"host"])
        raw_path, mark, query = target.partition(b"?")
        path = raw_path.decode("ascii") if PLAIN.fullmatch(raw_path) else canonical(raw_path)
        if mark:
            judge_query(query)
        return Request(head, inbound.method, path, tuple(path[1:].split("/")), query if mark else None, inbound.body)

    def _head(self, inbound: Inbound) -> Head:
        """What everything but the target says. Raises BadRequest."""
        headers = inbound.headers
        fields = dict(headers)
        repeated = NONE_REPEATED if len(fields) == len(headers) else self._repeated(headers, fields)
        if inbound.method in NOT_IMPLEMENTED or not FRAMING.isdisjoint(fields) or inbound.version != "1.1":
            self._judge_framing(fields, inbound)
        named = fields.get(b"host", b"")
        host, authority = self._authorities.get(named) or self._host(named)
        self._check_name(host, inbound.server_name)
        trusted = self._trusting and self.trusts(inbound)
        client, secure, certificate = self._told(inbound) if trusted else (inbound.peer, inbound.secure, inbound.certificate)
        return Head(
            host=host,
            authority=authority,
            version=inbound.version,
            headers=headers,
            fields=fields,
            repeated=repeated,
            peer=inbound.peer,
            client=client,
            secure=secure,
            trusted=trusted,
            forwarded=self._believed(headers) if trusted else (),
            certificate=certificate,
            listener=self._name,
            memo=inbound.memo,
        )

    def _of_another_length(self, head: Head, inbound: Inbound) -> Head:
        """The same head but for the length of its body. Raises BadRequest."""
        fields = (
            dict(inbound.headers) if not head.repeated else {**head.fields, b"content-length": b"%d" % (inbound.body.length or 0)}
        )
        self._judge_framing(fields, inbound)
        return Head(
            host=head.host,
            authority=head.authority,
            version=head.version,
            headers=inbound.headers,
            fields=fields,
            repeated=head.repeated,
            peer=head.peer,
            client=head.client,
            secure=head.secure,
            trusted=head.trusted,
            forwarded=head.forwarded,
            certificate=head.certificate,
            listener=head.listener,
            memo=head.memo,
        )

    def _believed(self, headers: list[Field]) -> tuple[Field, ...]:
        """The fields of the one believed family, for upstreams of ours to be told the whole way."""
        return tuple(field for field in headers if field[0] in self._family)

    def trusts(self, inbound: Inbound) -> bool:
        """Whether the peer is a proxy whose word counts. On a unix socket the file's mode decides who connects."""
        return (self._on_unix and not inbound.peer) or inbound.peer in self._trusted

    def _repeated(self, headers: list[Field], fields: dict[bytes, bytes]) -> frozenset[bytes]:
        """The names that came more than once; `fields` is made to hold the first value of each. Raises BadRequest."""
        repeated: set[bytes] = set()
        fields.clear()
        for name, value in headers:
            if name in fields:
                repeated.add(name)
            else:
                fields[name] = value
        for name in sorted(repeated & SINGLE):
            reason = Reason.CREDENTIAL_AMBIGUOUS if name == b"authorization" else Reason.MALFORMED_REQUEST
            raise BadRequest(f"{name.decode()} came more than once", reason=reason, close=True)
        return frozenset(repeated)

    def _judge_framing(self, fields: dict[bytes, bytes], inbound: Inbound) -> None:
        """RFC 9112 6.3 once more, so that no server library's leniency decides it; RFC 9110 10.1.1 for Expect."""
        if inbound.version not in VERSIONS:
            raise BadRequest("HTTP version", reason=Reason.VERSION_NOT_SUPPORTED, close=True)
        if inbound.method in NOT_IMPLEMENTED:
            raise BadRequest("method", reason=Reason.METHOD_NOT_IMPLEMENTED, close=True)
        coding, length = fields.get(b"transfer-encoding"), fields.get(b"content-length")
        if coding is not None and (length is not None or coding.lower() != b"chunked" or inbound.version == "1.0"):
            raise BadRequest("ambiguous framing", close=True)
        if length is not None and not (length.isdigit() and len(length) <= 18):
            raise BadRequest("Content-Length is not a number", close=True)
        if length is not None and int(length) > self._body_limit:
            raise BadRequest("declared body", reason=Reason.BODY_TOO_LARGE, close=True)
        expectation = fields.get(b"expect")
        if expectation is not None and expectation.lower() != b"100-continue":
            raise BadRequest("Expect", reason=Reason.EXPECTATION_FAILED)

    def _host(self, authority: bytes) -> tuple[str, str]:
        """(host, authority) in lower case; a trailing dot names the same host. Good ones are remembered: clients repeat."""
        found = HOST.fullmatch(authority)
        if found is None or b".." in found[1] or int(found[2] or 0) > 65535:
            raise BadRequest("Host is not a host name")
        host = found[1].decode("ascii").lower().removesuffix(".")
        if self._hosts is not None and host not in self._hosts and not self._is_beneath(host):
            raise BadRequest("a host this listener does not serve", reason=Reason.MISDIRECTED)
        known = host, host + (f":{int(found[2])}" if found[2] else "")
        if len(self._authorities) < REMEMBERED:
            self._authorities[authority] = known
        return known

    def _check_name(self, host: str, server_name: str | None) -> None:
        """Where clients prove themselves to a name, the request must be for that name (RFC 9110 7.4)."""
        if self._binds_name and server_name is not None and server_name.rstrip(".").lower() != host:
            raise BadRequest("Host is not the name the TLS connection was made for", reason=Reason.MISDIRECTED)

    def _is_beneath(self, host: str) -> bool:
        return any(host.endswith(suffix) and len(host) > len(suffix) for suffix in self._suffixes)

    def _told(self, inbound: Inbound) -> tuple[str, bool, bytes | None]:
        """(client address, client's scheme is https, client certificate) as a trusted proxy tells them."""
        client, secure, certificate = inbound.peer, inbound.secure, inbound.certificate
        if self._client_by is not None:
            client, told = self._client_by(inbound, self._trusted)
            secure = inbound.secure if told is None else told
        if self._certificate_by is not None:
            # A proxy's own certificate must never stand for its clients' (RFC 9440 4).
            believed = self._on_unix or inbound.certificate is not None
            certificate = self._certificate_by(inbound) if believed else None
        return client, secure, certificate


def origin_form(target: bytes, host: bytes) -> bytes:
    """The origin-form of another target. An absolute-form must name the same authority as Host (RFC 9112 3.2.2)."""
    if b"#" in target:
        raise BadRequest("a fragment is no part of a request-target", reason=Reason.PATH_REFUSED)
    absolute = ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise BadRequest("the request-target is neither origin-form nor absolute-form", reason=Reason.PATH_REFUSED)
    if absolute[1].lower() != host.lower():
        raise BadRequest("Host and request-target name different authorities")
    rest = absolute[2]
    return rest if rest.startswith(b"/") else b"/" + rest


def judge_query(query: bytes) -> None:
    """Raises BadRequest query-invalid for what a query may not hold, and for escapes that do not decode."""
    if not QUERY.fullmatch(query):
        raise BadRequest("a character the query may not hold", reason=Reason.QUERY_INVALID)
    refuse_query(query)
