"""vault: secrets sealed by AES-256-GCM under data keys, which key-encryption keys wrap (envelope encryption).

What is sealed is text that may lie in Git or in a database: `text` says how it is written, `cipher` is the one place that
encrypts, `place` binds a text to where it stands, `keys` are the key-encryption keys, and `ring` puts these together.

To seal a value that carries its own data key (one column, nothing else to keep):

    place = row("grants", "refresh_token", grant_id)
    column = ring.seal(place, Secret(token))          # "lgs1:2026-11:..."
    token = ring.open(place, column).secret           # NotOpened where it is moved, altered, or under a key that is not there

To seal rows whose key can be destroyed (crypto-shredding: backups of the rows alone stay unreadable), keep the wrapped data key in
a table of its own, delete that row to shred, and let a process write only with keys that it made itself:

    key = ring.data_key()                             # DataKey; store key.id and key.wrapped before the first row
    column = key.seal(place, Secret(token))           # "lgd1:<key.id>:..."; store it beside key.id
    ring.unwrapped(wrapped).open(place, column)       # reads only: an unwrapped key refuses to seal, see DataKey

`ring.seal`, `ring.open`, `ring.data_key` and `ring.unwrapped` wait for the network where the key-encryption key lies elsewhere:
in an event loop call them by asyncio.to_thread. What a DataKey does never waits.
"""
