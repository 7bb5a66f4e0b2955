"""operators: who may use the admin listener by name, and prove it.

Takes a name, a password and what else proves it; gives a session with a role. `account` is what is kept of one, `roll` finds and
keeps them in the database, `passwords` judges and hashes, `secondary` and `security_keys` are second factors, `sessions` live in
this process, `foreign` are those of a provider, `desk` outlives a configuration and `office` does what it says.
"""
