"""captured: credentials that answers mint, kept from the client: it gets a placeholder that only this gateway can spend, for it.

`model` is the configuration, `documents` and `xml` find values in answers, `capturing` takes them out on the way to the client,
`placeholder` is what stands in their place, `injector` puts the real one into the requests that carry a placeholder. `keys` are
AWS keys, which clients sign with: `signed` verifies that, `keys_injector` signs anew with the real ones.
"""
