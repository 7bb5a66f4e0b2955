"""Detection: rules that refuse nobody, and exceptions that are everybody."""

from collections.abc import Iterator

from gateway.core.errors import Problem
from gateway.settings.rules.draft import Draft


def check(draft: Draft) -> Iterator[Problem]:
    if draft.value("detection", "rules") == []:
        message = "nobody is refused for guessing credentials, however often"
        yield draft.warning(("detection", "rules"), message, "leave `rules` out, or use `action: alarm`")
    for number, network in enumerate(draft.items("detection", "never_block")):
        if isinstance(network, str) and network.endswith("/0"):
            message = "everybody is in this network: nobody is ever blocked"
            yield draft.warning(("detection", "never_block", number), message, "name networks of many clients behind one address")
