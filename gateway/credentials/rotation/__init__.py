"""rotation: new upstream secrets in place of old ones, minted by a program of the operator's or by a provider.

`model` is the configuration. `minter` says what mints: `hook` runs the program, `iam` and `gitlab` ask providers. `record` is how
far a rotation came, `ledger` keeps that sealed in the database; `trial` asks whether a secret counts, the upstream in the form that
`shown` gives it; `turns` says whose turn it is; `rotor` goes the steps of a `job`. Imported only where a credential rotates.
"""
