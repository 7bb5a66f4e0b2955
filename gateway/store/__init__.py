"""store: state behind small interfaces, in this process or shared between replicas.

Counters of rate limits: `quota` says what is counted, `memory` counts in process, `redis` counts for all replicas.
Knows core and config; only `resp` knows hiredis, and it is imported only where a Redis is configured.
"""
