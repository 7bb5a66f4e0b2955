"""The injector `captured`: a placeholder that the client sends becomes the credential it stands for, or the request is refused."""

import base64
import binascii
from collections.abc import Awaitable
from typing import Final, final

from gateway.core.decision import Permit
from gateway.core.errors import Ungranted
from gateway.core.message import Outbound, lines
from gateway.core.principal import ANONYMOUS
from gateway.credentials.captured import placeholder
from gateway.credentials.captured.model import Captured
from gateway.credentials.captured.placeholder import Spendable
from gateway.credentials.captured.used import Opened, Refused, Used, refusal
from gateway.credentials.placed import field_value
from gateway.credentials.vault.fault import NotOpened
from gateway.scrub.needles import Needles

BASIC: Final = b"basic"


@final
class Spent:
    """A credential as it goes out, while it may."""

    __slots__ = ("captured_at", "echoes", "expires", "line")

    def __init__(self, line: bytes, echoes: tuple[Needles, ...], opened: Spendable) -> None:
        self.line = line
        self.echoes = echoes
        self.expires = opened.expires
        self.captured_at = opened.captured_at


@final
class CapturedInjector:
    """Sets a field to what the client's own field says, with the credential in the placeholder's place.

    A request without a placeholder has no credential (Ungranted, so that a plan goes on); one with a bad one is refused for good.
    """

    def __init__(self, name: str, model: Captured, used: Used) -> None:
        self.name: str | None = name
        self._name = name
        self._field = model.header.lower().encode("ascii")
        self._sent_in = (model.sent_in or model.header).lower().encode("ascii")
        self.sets: frozenset[bytes] = frozenset((self._field, self._sent_in))
        self._used = used
        self._opened: Opened[Spent] = Opened(used.clock, model.issued_after)

    def inject(self, outbound: Outbound, permit: Permit) -> Awaitable[str | None] | None:
        """Raises Ungranted where none was sent, Forbidden for one that cannot be spent, and DependencyDown."""
        head = permit.access.request.head
        value = head.fields.get(self._sent_in)
        if value is None or permit.principal.scheme == ANONYMOUS:
            raise Ungranted(f"{self._name}: no placeholder in {self._sent_in.decode('ascii')}")
        if self._sent_in in head.repeated:
            raise refusal(self._used, self._name, permit, "ambiguous")
        known = self._opened.find(permit.principal.key, value)
        if known is None:
            return self._later(outbound, permit, value)
        self._place(outbound, permit, known)
        return None

    async def _later(self, outbound: Outbound, permit: Permit, value: bytes) -> str | None:
        try:
            spent = await self._open(permit.principal.key, value)
        except Refused as error:
            raise refusal(self._used, self._name, permit, str(error)) from None
        self._opened.keep(permit.principal.key, value, spent)
        self._place(outbound, permit, spent)
        return self.name

    async def _open(self, principal: str, value: bytes) -> Spent:
        """Raises Refused and DependencyDown."""
        before, text, is_basic = parted(value)
        try:
            found = await placeholder.opened(self._used.ring, placeholder.place(self._name, principal), text)
        except NotOpened as error:
            raise Refused(str(error.fault)) from None
        secret = field_value(found.secret.reveal())
        said = before + secret
        whole = b"Basic " + base64.b64encode(said) if is_basic else said
        return Spent(lines([(self._field, whole)]), (Needles(secret, whole if is_basic else secret),), found)

    def _place(self, outbound: Outbound, permit: Permit, spent: Spent) -> None:
        try:
            self._opened.judge(spent.expires, spent.captured_at)
        except Refused as error:
            raise refusal(self._used, self._name, permit, str(error)) from None
        outbound.lines.append(spent.line)
        outbound.secrets += spent.echoes


def parted(value: bytes) -> tuple[bytes, str, bool]:
    """What stands before a placeholder, the placeholder, and whether both were in Basic's base64 (RFC 7617 2). Raises Refused."""
    scheme, space, rest = value.partition(b" ")
    if not space:
        return b"", value.decode("latin-1"), False
    rest = rest.strip(b" ")
    if scheme.lower() != BASIC:
        return scheme + b" ", rest.decode("latin-1"), False
    try:
        plain = base64.b64decode(rest, validate=True)
    except binascii.Error:
        raise Refused("malformed") from None
    user, colon, password = plain.partition(b":")
    return user + colon, password.decode("latin-1"), True
