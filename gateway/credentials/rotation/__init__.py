"""rotation: new upstream secrets in place of old ones, minted by a program of the operator's.

`hook` runs the program; `record` is how far a rotation came, `ledger` keeps that sealed in the database; `trial` shows a secret to
the upstream; `rotor` goes the steps. Imported only where a credential rotates.
"""
