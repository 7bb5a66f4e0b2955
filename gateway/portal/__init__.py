"""portal: the gateway's own public endpoints, under a prefix no route may claim.

Reserved for login, callback, logout and metadata. Nothing is served here yet: security.txt is the edge's.
"""
