"""What a process knows stays in it. execve(2) undoes that, so each program that holds secrets says it anew, before it has them."""

import logging
import os
import resource
import sys
from contextlib import suppress
from typing import Final

log = logging.getLogger(__name__)

PR_SET_DUMPABLE: Final = 4
NEEDED: Final = frozenset({"PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR"})
NEEDED_OF: Final = ("LC_", "LD_", "PYTHON", "MALLOC_", "GLIBC_", "OPENSSL_", "SSL_CERT_")
"""Names, and how they begin, of the variables that are read while an interpreter or a library of it starts."""


def kept_in() -> None:
    """See that what this process knows is in no core dump, and that on Linux no other process of its account, as a program that it
    runs, reads it: memory and environment (prctl(2), PR_SET_DUMPABLE; proc(5)). What is forked from it is kept in as well."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A crash handler that is piped to heeds no limit. Where there is no prctl, or nothing may be loaded, the limit has to do.
    with suppress(ImportError, MemoryError, OSError, AttributeError):
        import ctypes

        if ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            log.warning("programs of this account may read what this process knows: prctl was refused")


def bare() -> dict[str, str]:
    """The variables to start another Python of ours with, which has the same modules: none that could be a secret, as that one
    is not kept in before it runs. The others it is told."""
    needed = {name: value for name, value in os.environ.items() if name in NEEDED or name.startswith(NEEDED_OF)}
    return {**needed, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
