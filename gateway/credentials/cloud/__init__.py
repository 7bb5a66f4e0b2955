"""cloud: how the gateway speaks with those who hold keys and secrets for it: Amazon, Google, HashiCorp Vault and OpenBao.

Who we are there (`model`), and one service's way of asking a file. Spoken over our own Fetch and its guard, so that no vendor's
library is needed; whoever asks hands the client in, as a question at load is asked in an event loop of its own (`blocking`).
"""
