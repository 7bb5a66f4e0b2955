"""scrub: does the answer hold what an injector put into the request?

Finds injected values, as they are and as texts escape and encode them, and masks them: in heads, bodies and WebSocket frames, as
they stream. Reads no clock, does no I/O and knows core only; injectors make the needles, those who carry answers use them.
"""
