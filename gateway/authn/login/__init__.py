"""login: people log in at an OpenID provider, and a session is all their browser holds (RFC 10017 6.1, backend for frontend).

`flow` sends a browser to a provider and takes it back, `provider` speaks with one, `id_token` judges what it signed, `sessions`
keeps who is logged in, `presented` decides requests. Knows core, config and the rest of authn; stores and clocks are handed in.
Tokens never leave by an answer.
"""
