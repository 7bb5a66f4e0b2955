"""workers: several processes on one port, and the one that keeps them.

`supervisor` has the signals, the operators' listener, the audit file and the configuration; `fleet` starts, replaces and restarts
workers; `forking` is the process they are forked from; `worker` is one of them, `process.Process` in a place. They talk over
`channel`, and their lines come in by `lines`. With one worker none of this runs.
"""
