"""gateway: a security gateway in front of tool APIs."""

__version__ = "0.1.0"
