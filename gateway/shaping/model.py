"""The configuration of redaction (`redaction:`)."""

from gateway.config.values import Model, SecretRef


class Redaction(Model):
    """What values are hashed with where a rule says `style: hash`: 32 random bytes or more."""

    key: SecretRef
