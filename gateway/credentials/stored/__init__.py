"""stored: secrets whose home is the database, where they change while the gateway runs.

`source` is one secret as requests see it; `drawer` seals rows and opens them; `following` looks for what changed, twice a second;
`resealing` moves secrets and grants from old keys to the first one. Imported only where a database is configured, but for `source`.
"""
