"""bench: how fast the gateway is beside the proxies people know, on one core each, in one run.

`python -m bench` starts the contenders (`contenders/`, one file a rival), puts each through the scenarios (`scenarios/`) in
interleaved rounds and prints medians and ratios; `--write` makes docs/explanation/performance.md of them. Nothing here gates.
Beside it stand small measurements of one part each: policy (a package), evidence.py, reload.py,
shared_memory.py, upstream_pool.py.
"""
