"""config: YAML documents with a position for every node, the value types of settings, secret references.

Rooms build their own models from `values`; `gateway/settings` composes those models into one document.
Knows core. pyyaml is known to `document` only.
"""
