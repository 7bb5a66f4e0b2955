"""portal: the gateway's own public endpoints, under a prefix no route may claim.

Reserved for login, callback, logout and metadata. Nothing is served here yet: published keys and the catalogue of tools are
answered on each door, as requests are (doors, catalogue), and security.txt is the edge's.
"""
