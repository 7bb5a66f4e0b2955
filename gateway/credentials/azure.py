"""Tokens of Microsoft Entra ID: client credentials by secret, certificate (PS256, `x5t#S256`) or another issuer's token.

learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

from functools import partial

from gateway.config.values import SecretRef
from gateway.core.ports import Clock, Fetch, SecretSource
from gateway.credentials.client import ASSERTION, Proof, Prove, Sources, proving, text
from gateway.credentials.client_credentials import ClientCredentialsRecipe, asked
from gateway.credentials.endpoint import TokenEndpoint
from gateway.credentials.oauth_model import Azure, Client


def azure(model: Azure, fetch: Fetch, clock: Clock, secrets: Sources) -> ClientCredentialsRecipe:
    """Raises ValueError for a key or certificate that cannot be used."""
    url = f"{model.authority.rstrip('/')}/{model.tenant}/oauth2/v2.0/token"
    prove = (
        _federated(model.client_id, secrets, model.token)
        if model.token is not None
        else proving(_client(model), url, clock, secrets)
    )
    endpoint = TokenEndpoint(url, model, fetch, prove)
    return ClientCredentialsRecipe(endpoint, asked([model.scope]))


def _client(model: Azure) -> Client:
    if model.secret is not None:
        return Client(id=model.client_id, auth="client_secret_post", secret=model.secret)
    return Client(
        id=model.client_id, auth="private_key_jwt", private_key=model.private_key, algorithm="PS256", certificate=model.certificate
    )


def _federated(id: str, secrets: Sources, token: SecretRef) -> Prove:
    return partial(_vouched, id, secrets(token))


def _vouched(id: str, source: SecretSource) -> Proof:
    """Another issuer's token in the place of a statement of ours, read anew each time."""
    said = text(source).strip()
    return Proof({}, (("client_id", id), ("client_assertion_type", ASSERTION), ("client_assertion", said)))
