"""settings: one configuration, from its files to a model that holds together.

`model` composes the rooms' models, `load` reads files into it, `rules` are what no single room can check: references
between sections and combinations that would be unsafe. Knows config and the rooms' models. Starts nothing.
"""

from gateway.settings.load import Loaded, find, load
from gateway.settings.model import ONLY_LISTENER, Admin, Match, Portal, Rewrite, RouteModel, Settings, credentials_of

__all__ = [
    "ONLY_LISTENER",
    "Admin",
    "Loaded",
    "Match",
    "Portal",
    "Rewrite",
    "RouteModel",
    "Settings",
    "credentials_of",
    "find",
    "load",
]
