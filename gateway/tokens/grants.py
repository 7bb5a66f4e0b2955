"""Every `grant_type` and what answers it."""

from collections.abc import Mapping

from gateway.tokens import client_credentials, code_grant, exchange
from gateway.tokens.asked import Handler
from gateway.tokens.code_grant import PersonGrants
from gateway.tokens.consents import Consents
from gateway.tokens.service import House


def grants(house: House, consents: Consents | None = None) -> Mapping[str, Handler]:
    """The table of one configuration; `consents` are what people allow clients, None where nobody is asked."""
    people = None if consents is None else PersonGrants(consents, house)
    return {
        **({} if people is None else {code_grant.CODE: people.code, code_grant.REFRESH: people.refresh}),
        client_credentials.GRANT: client_credentials.client_credentials(house),
        exchange.TYPE: exchange.token_exchange(house),
    }
