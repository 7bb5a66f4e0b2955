"""authz: may this principal do this?

Takes a Principal and an AccessRequest; gives a Decision, and a Permit for an allowing one. Reads policy documents, compiles
their conditions (cel/) and indexes their rules by route and method. Knows core and config. Does no I/O on a request and
reads no clock: time arrives with the AccessRequest.
"""
