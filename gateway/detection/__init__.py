"""detection: is somebody guessing?

Takes what failed (a client's address, the identity that was tried) and what succeeded; says which addresses are refused, and until
when. `ledger` remembers failures, `blocks` whom is refused, `guard` judges by the rules, `watch` is a listener's view of it.
Knows core and config. Bounded everywhere; asks nothing and waits for nothing on a request.
"""
