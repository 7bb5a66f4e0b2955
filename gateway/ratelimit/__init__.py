"""ratelimit: not too often?

Takes an admitted Request and, after authentication, its Principal; gives the Allowances of a stage or raises LimitExceeded.
Knows core, config and the counters of `store`. `limiter` binds rules to routes, `keys` says who is counted, `headers` what
the client is told.
"""
