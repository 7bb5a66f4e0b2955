"""A request that is sent once more with another credential: what becomes of the first answer."""

import pytest

from gateway.core.decision import AccessRequest, Permit
from gateway.core.errors import DependencyDown
from gateway.core.message import Outbound, Response
from gateway.core.ports import Transport
from gateway.pipeline import once_more
from tests.scripted import outbound, principal


class Unasked:
    """A transport that must not be asked."""

    async def send(self, outbound: Outbound) -> Response:
        raise AssertionError("sent once more without a credential")

    async def upgrade(self, outbound: Outbound, protocols: tuple[bytes, ...]) -> Response:
        raise AssertionError("upgraded")


async def test_the_refused_answer_is_let_go_where_renewing_fails() -> None:
    """Its upstream's connection would stay taken for ever."""
    let_go: list[bool] = []
    refused = Response(401, [], own=False)
    refused.abandon = lambda: let_go.append(True)
    ready, transport = outbound(), Unasked()
    permit = Permit(principal(), AccessRequest(ready.request, "r", "u", {}, 0.0), None)

    async def renew(outbound: Outbound, permit: Permit) -> bool:
        raise DependencyDown("not refreshed in time")

    asked: Transport = transport
    with pytest.raises(DependencyDown):
        await once_more(refused, ready, permit, asked, renew)
    assert let_go == [True]
