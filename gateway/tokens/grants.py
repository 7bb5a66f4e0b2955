"""Every `grant_type` and what answers it."""

from collections.abc import Mapping

from gateway.tokens import client_credentials, exchange
from gateway.tokens.asked import Handler
from gateway.tokens.service import House


def grants(house: House) -> Mapping[str, Handler]:
    """The table of one configuration."""
    return {
        client_credentials.GRANT: client_credentials.client_credentials(house),
        exchange.TYPE: exchange.token_exchange(house),
    }
