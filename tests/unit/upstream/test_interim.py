"""What of an interim answer goes to the client."""

import asyncio

from gateway.scrub.needles import Needles
from gateway.upstream.interim import interim
from gateway.upstream.owner import Owner
from tests.scripted import outbound


async def test_secrets_are_masked_in_a_hint_as_in_any_answer() -> None:
    """The longest first, since one may begin as another does; the word Basic may be said, and nothing is no secret."""
    told: list[bytes] = []
    owner = Owner(loop=asyncio.get_running_loop())
    owner.asked = outbound()
    owner.asked.secrets = (Needles(b"abc", b"abcdef", b"Basic dTpw", b""),)
    owner.asked.interim = told.append
    assert interim(owner, 103, (b"Link",), (b"</abcdef/dTpw/x>",))
    assert told == [b"HTTP/1.1 103 Early Hints\r\nlink: </REDACTED/REDACTED/x>\r\n\r\n"]
