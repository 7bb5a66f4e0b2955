"""http2: the framing of HTTP/2 (RFC 9113), the same for clients in front of us and upstreams behind us.

Takes bytes and gives heads, pieces of bodies and ends of streams; takes these and gives bytes. Bounds what the other end may cost:
sizes, streams, windows, and frames that carry nothing. Knows core only: nothing of sockets, requests or who asks.
"""
