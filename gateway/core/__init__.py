"""core: the words of the house, as types.

Messages, principals, decisions, reasons, errors, secrets and the protocols that two rooms share.
No I/O, no clock reads, no logging, standard library only. Everybody may import core; core imports nobody.
"""
