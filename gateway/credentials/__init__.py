"""credentials: with whose key is the upstream called?

One injector a file adds a secret to an outbound request, last of all, and only for a Permit. Which secret, where and in
which format is configuration alone: nothing a client sends can choose them. Knows core and config.
"""
