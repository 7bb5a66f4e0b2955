"""authn: who is asking?

Takes an admitted Request; gives a Principal, or raises Unauthenticated, BadRequest or DependencyDown (CONTRACT 3).
A presented credential that fails is never skipped. Knows core and config; fetches through the Fetch it is given.
`gate` chooses the credential that counts, one file proves each scheme. Nothing heavy is imported here.
"""

from typing import Final

SCHEMES: Final = {
    "jwt": "gateway.authn.tokens",
    "introspection": "gateway.authn.introspection",
    "hmac": "gateway.authn.hmac_signed",
    "signature": "gateway.authn.signatures.verifier",
    "api_key": "gateway.authn.api_keys",
    "mtls": "gateway.authn.mtls",
    "session": "gateway.authn.login.presented",
    "anonymous": "gateway.authn.gate",
}
"""Every scheme a principal of this room may have, and the module that proves it."""
