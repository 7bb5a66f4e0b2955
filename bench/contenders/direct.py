"""No proxy at all: the upstream itself, from the load's own core. What others are compared with where delay is added."""

from bench.contenders.contender import Contender

DIRECT = Contender("direct", None, lambda: "", setups=())
