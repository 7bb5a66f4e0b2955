"""A syntax tree and an environment to a checked tree: every name known, every type fitting, or a load error at its place.

Strict on purpose: what the CEL type checker would accept only to fail on every request is refused too.
"""
