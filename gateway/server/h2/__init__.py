"""server.h2: clients that speak HTTP/2, on listeners that take it (RFC 9113).

Each stream becomes one request for the same app as every other request, with an answer that knows streams. Framing is http2's;
here is what a head must say to be a request, and what a client may have and how slow it may be.
"""
