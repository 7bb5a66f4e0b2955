"""portal: the gateway's own public endpoints, under a prefix no route may claim.

`login` answers people who log in, out, and ask for their sessions; `backchannel` providers that end them. Each is asked as requests
are, by a door (doors, catalogue); published keys and the catalogue of tools are answered there, security.txt is the edge's.
"""
