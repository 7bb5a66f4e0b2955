"""server: the listeners, from the bound socket to `app(inbound, writer)`.

Accept loop, TLS, the HTTP/1.1 protocol with its limits and timers, signals and drain. Knows uvicorn, httptools and ssl;
knows nothing of routes or policies. Every wrong byte becomes an Inbound with a fault, so that the one renderer answers it.
"""
