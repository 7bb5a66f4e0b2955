"""operators: who may use the admin listener by name, and prove it.

Takes a name, a password and what else proves it; gives a session with a role. `account` is what is kept of one, `roll` finds and
keeps them in the database, `passwords` judges and hashes, `totp` and `recovery` are second factors, `sessions` live in this
process, `desk` outlives a configuration and `office` does what it says. Knows SQL's rows and HTTP not at all.
"""
