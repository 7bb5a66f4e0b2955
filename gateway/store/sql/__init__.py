"""sql: what must outlive the process, in SQLite beside the configuration or in a PostgreSQL that replicas share.

`model` is the configuration, `address` reads a URL, `engine` opens and asks, `schema` migrates and refuses, `tables` says what is
kept, and `secrets`, `grants`, `keys` and `leases` are the questions asked of each table. Every sealed value is text to this room:
it seals nothing, opens nothing, and holds no key. Only this room knows SQLAlchemy, Alembic and the drivers; it is imported only
where a database is configured.
"""
