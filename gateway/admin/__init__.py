"""admin: the operators' own listener.

Liveness, readiness and metrics for everybody who reaches it; everything else only with the token, or on a unix socket.
Nothing here is ever reachable through a data listener. Knows starlette.
"""
