"""websocket: what goes through a tunnel, once both handshakes are done.

Takes the two connections; gives back how the tunnel ended. Follows the frames both ways without holding them, bounds messages,
silence and numbers, and ends tunnels at the boundary of a frame. Knows core only: nothing of HTTP, who asks, or policies.
"""
