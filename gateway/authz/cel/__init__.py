"""authz/cel."""
