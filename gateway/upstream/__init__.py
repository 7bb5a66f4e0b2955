"""upstream: carry it there and back.

Takes an admitted Request and a Principal and makes an Outbound (fields); sends an Outbound and gives a Response (pool).
Knows core and config, and is the only room that knows httptools. Follows no redirect, undoes no compression, and dials
only addresses it has vetted.
"""
