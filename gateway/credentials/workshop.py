"""What minted credentials are made with and of: the part of this room's table that needs more than a secret."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, assert_never
from urllib.parse import urlsplit

from gateway.config.values import Model, SecretRef
from gateway.core.ports import Clock, Fetch, Metrics, SecretSource
from gateway.credentials import oauth_model as model
from gateway.credentials.assertion import Signer
from gateway.credentials.azure import azure
from gateway.credentials.client import nobody, proving
from gateway.credentials.client_credentials import ClientCredentialsRecipe, asked
from gateway.credentials.endpoint import TokenEndpoint
from gateway.credentials.exchange import TokenExchangeRecipe
from gateway.credentials.federation import ProjectedRecipe, anthropic, openai
from gateway.credentials.github_app import GithubAppRecipe
from gateway.credentials.google import GoogleFederationRecipe, ServiceAccountRecipe
from gateway.credentials.jwt_bearer import JwtBearerRecipe
from gateway.credentials.minted import MadeOf, MintedInjector, Recipe
from gateway.credentials.refresh import RefreshTokenRecipe
from gateway.credentials.tokens import Tell, Tokens

if TYPE_CHECKING:
    from gateway.credentials.grants.held import Held
    from gateway.credentials.vault.ring import Ring

Sources = Callable[[SecretRef], SecretSource]


class Workshop(NamedTuple):
    """What minting needs. `tokens` gives those of a credential that are there already where its configuration is the same, `grants`
    what is held at a provider; it raises ValueError. `ring` seals what is captured, `tell` is the audit trail."""

    fetch: Fetch
    clock: Clock
    secrets: Sources
    tokens: Callable[[str, Model, str], Tokens]
    grants: "Callable[[str], Held]"
    metrics: Metrics
    tell: Tell
    ring: "Ring | None" = None


def minted(name: str, credential: model.Minted, workshop: Workshop) -> MintedInjector:
    """The injector of a credential that is minted. Raises ValueError where what it is minted from cannot be used."""
    tokens, made_of = workshop.tokens(name, credential, provider(credential)), MadeOf(workshop.secrets)
    return MintedInjector(name, tokens, recipe(credential, workshop._replace(secrets=made_of), tokens.key), made_of)


def recipe(credential: model.Minted, workshop: Workshop, key: bytes) -> Recipe:
    """`key` is that of fingerprints."""
    fetch, clock, secrets = workshop.fetch, workshop.clock, workshop.secrets
    match credential:
        case model.ClientCredentials():
            asked_for = asked(credential.scope, credential.audience, credential.resource)
            return ClientCredentialsRecipe(proven(credential, workshop), asked_for)
        case model.RefreshToken():
            return RefreshTokenRecipe(credential, proven(credential, workshop), secrets(credential.refresh_token))
        case model.TokenExchange():
            return TokenExchangeRecipe(credential, proven(credential, workshop), clock, key)
        case model.JwtBearer():
            header = {} if credential.key_id is None else {"kid": credential.key_id}
            signer = Signer(secrets(credential.private_key), credential.algorithm, header)
            return JwtBearerRecipe(credential, proven(credential, workshop), signer, clock)
        case model.GithubApp():
            endpoint = TokenEndpoint(credential.api.rstrip("/"), credential, fetch)
            return GithubAppRecipe(credential, endpoint, Signer(secrets(credential.private_key), "RS256"), clock)
        case model.GoogleServiceAccount():
            endpoint = TokenEndpoint(credential.token_url, credential, fetch)
            return ServiceAccountRecipe(credential, endpoint, secrets(credential.key), clock)
        case model.GoogleFederation():
            sts, iam = (TokenEndpoint(url.rstrip("/"), credential, fetch) for url in (credential.sts_url, credential.iam_url))
            return GoogleFederationRecipe(credential, sts, iam, secrets(credential.token), clock)
        case model.Azure():
            return azure(credential, fetch, clock, secrets)
        case model.OpenAi():
            return openai(credential, TokenEndpoint(credential.token_url, credential, fetch), secrets(credential.token))
        case model.Anthropic():
            return anthropic(credential, TokenEndpoint(credential.token_url, credential, fetch), secrets(credential.token))
        case model.ProjectedToken():
            return ProjectedRecipe(secrets(credential.token), clock)
        case _ as never:
            assert_never(never)


Proven = model.ClientCredentials | model.RefreshToken | model.TokenExchange | model.JwtBearer


def proven(credential: Proven, workshop: Workshop) -> TokenEndpoint:
    """A token endpoint at which the gateway is a client."""
    client, url = credential.client, credential.token_url
    prove = nobody if client is None else proving(client, url, workshop.clock, workshop.secrets)
    return TokenEndpoint(url, credential, workshop.fetch, prove)


def provider(credential: model.Minted) -> str:
    """Who mints, for the audit trail: a host."""
    match credential:
        case model.GithubApp():
            return urlsplit(credential.api).netloc
        case model.GoogleFederation():
            return urlsplit(credential.sts_url).netloc
        case model.Azure():
            return urlsplit(credential.authority).netloc
        case model.ProjectedToken():
            return "file"
        case _:
            return urlsplit(credential.token_url).netloc
