"""tokens: what the gateway itself vouches for, in exchange for what somebody proved.

Clients of `clients:` and holders of other credentials ask for access tokens (RFC 6749, RFC 8693, RFC 9068) at one endpoint. `mint`
makes them, one file knows each grant, `clients` who a client is. How they are known again is authn's (`authn.own`).
"""
