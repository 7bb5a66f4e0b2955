"""signatures: HTTP message signatures (RFC 9421) of requests, over bodies that a Content-Digest (RFC 9530) vouches for.

`base` writes what was signed, `keys` says who may sign and how, `verifier` decides. Knows the rest of authn.
"""
