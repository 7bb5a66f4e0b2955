"""What a policy decision costs, beside engines of others on the same questions: `python -m bench.policy`.

sets.py makes rules and questions that every engine can express; one file an engine asks them, each in a process and an environment
of its own (contestant.py); __main__.py lets them ask in turn and compares answers and times.
"""
