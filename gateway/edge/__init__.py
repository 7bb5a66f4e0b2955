"""edge: is this a decent message, and how is it answered?

Takes an Inbound; gives the one Request that may be served, with a canonical path and a believed client. Answers preflights,
validates requests by schemas and descriptions, finishes every response and renders every error. Knows core and config;
jsonschema-rs is known to `schema` only.
"""
