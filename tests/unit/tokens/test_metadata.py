"""The server's metadata: where it is, and what is told whatever is configured."""

import json

from gateway.tokens.metadata import ServerMetadata
from gateway.tokens.model import Client

SERVER = Client.model_validate({"secret": {"env": "SECRET"}, "grants": ["client_credentials", "token_exchange"]})


def test_what_the_issuer_has_for_a_path_comes_behind_the_well_known_part() -> None:
    for issuer, path in (("https://gw.test", ""), ("https://gw.test/", ""), ("https://gw.test/one/two/", "/one/two")):
        assert ServerMetadata(issuer, "https://gw.test/.gateway", {}, []).path == "/.well-known/oauth-authorization-server" + path


def test_what_is_not_configured_is_not_told_but_for_what_has_to_be() -> None:
    told = json.loads(ServerMetadata("https://gw.test", "https://gw.test/.gateway", {"app": SERVER}, []).response().body)
    assert (told["response_types_supported"], "authorization_endpoint" in told) == ([], False)
    assert told["grant_types_supported"] == ["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"]
    assert "code_challenge_methods_supported" not in told
    assert "dpop_signing_alg_values_supported" not in told
