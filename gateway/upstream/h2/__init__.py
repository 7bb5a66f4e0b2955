"""upstream.h2: upstreams that speak HTTP/2 (RFC 9113), where that is configured.

Takes the same Outbound and gives the same Response as for every upstream, over connections that carry many requests at once, and
with the same choice of targets, ejection, circuit breaker and errors. What comes beyond: bodies both ways at once, and trailers.
"""
