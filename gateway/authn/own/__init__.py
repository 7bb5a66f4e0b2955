"""The gateway's own access tokens: the keys that sign them, what is sealed in them, how they are known again and taken back.

No key is stored: all are derived from one configured secret and the time, so that every worker and replica has the same.
"""
