"""demo: the main job in one go, on loopback, with nothing to configure.

A small tool API that demands a credential, the gateway in front of it, and five requests with five different answers.
"""
