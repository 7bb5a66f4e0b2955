"""portal: the gateway's own public endpoints, under a prefix no route may claim.

`login` answers people who log in, out, and ask for their sessions, and providers that end them; `connections` people who connect
accounts: `connect_flow` is a connection on its way, `connect_pages` what they see, `uses` what is done with it. Each is asked as
requests are, by a door (doors, catalogue); published keys and the catalogue of tools are answered there, security.txt is the
edge's.
"""
