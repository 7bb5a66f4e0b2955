"""soak: one gateway under everything at once, for half an hour: honest clients who check every byte, abusive ones, and faults.

`python -m bench.soak` starts real processes on loopback (gateway, upstream targets, redis-server), kills and reloads them in
turn, compares every answer with what was asked and with the audit trail, samples memory and descriptors, prints figures and
ends with 1 if something was wrong. `world` is what everybody shares; nothing here knows the gateway's insides except key files.
"""
