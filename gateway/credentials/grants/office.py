"""What keeps and refreshes the grants of one provider, put together. Imported only where a provider is configured."""

from typing import NamedTuple

from gateway.core.ports import Clock, Metrics, RevokingFetch
from gateway.credentials.client import Sources
from gateway.credentials.grants.connecting import Connecting
from gateway.credentials.grants.ending import Ending
from gateway.credentials.grants.evidence import Evidence
from gateway.credentials.grants.exchange import asking
from gateway.credentials.grants.held import Held
from gateway.credentials.grants.injector import GrantInjector
from gateway.credentials.grants.kept import Kept, Sealing
from gateway.credentials.grants.link import Link
from gateway.credentials.grants.model import Provider
from gateway.credentials.grants.refresh import Refresher
from gateway.credentials.tokens import Tell
from gateway.store.bell import Bell
from gateway.store.sql.engine import Database
from gateway.store.sql.grants import GrantRows
from gateway.store.sql.leases import Leases

__all__ = ["Connecting", "GrantInjector", "Office", "connecting", "held"]


class Office(NamedTuple):
    """What it takes."""

    database: Database
    ring: Sealing
    fetch: RevokingFetch
    clock: Clock
    metrics: Metrics
    secrets: Sources
    tell: Tell
    bell: Bell


def held(name: str, model: Provider, office: Office, link: Link) -> Held:
    """The grants at a provider. Raises ValueError for a client that cannot prove itself."""
    evidence = Evidence(office.tell)
    kept = Kept(GrantRows(office.database), office.ring, office.clock, office.metrics, evidence)
    ask = asking(model, office.fetch, office.clock, office.secrets)
    ending = Ending(model, model.client, office.fetch, office.clock, office.secrets) if model.client is not None else None
    end = ending.one if ending is not None else None
    refresher = Refresher(ask, kept, Leases(office.database), office.clock, office.metrics, evidence, end)
    return Held(name, kept, refresher, office.clock, office.metrics, office.bell, link=link)


def connecting(name: str, model: Provider, office: Office) -> Connecting:
    """How people connect at a provider. Raises ValueError as `held` does."""
    rows = GrantRows(office.database)
    kept = Kept(rows, office.ring, office.clock, office.metrics, Evidence(office.tell))
    return Connecting(name, model, kept, rows, Leases(office.database), office.fetch, office.clock, office.secrets)
