"""doctor: what needs care, each finding with its place, its name and what to do. `gateway doctor` is the command.

`lenient` judges the settings, `ending` knows what ends by itself, `files` who else may read or write them, `custody` asks the keys
and the database, `keys` judges API keys. All of them read, and change nothing.
"""

from typing import Final

CHECKED: Final = "check"
"""The name of what `gateway check` warns about and has no other name for."""
FINDINGS: Final = frozenset(
    {
        CHECKED,
        "admin-in-clear",
        "audit-drops",
        "certificate-ends",
        "cors-anybody",
        "cors-wildcard",
        "grant-broken",
        "grant-ends",
        "idle-key",
        "key-altered",
        "key-endless",
        "key-ends",
        "key-unused",
        "limits-fail-open",
        "long-tokens",
        "no-default-limit",
        "operators-guessed",
        "outlives-logins",
        "plaintext",
        "readable-file",
        "replays-later",
        "replays-taken",
        "revocations-end",
        "revocations-waived",
        "rotation-failed",
        "rotation-orphaned",
        "rotation-overdue",
        "scrub-off",
        "scrub-partial",
        "sealing-overdue",
        "secret-ends",
        "shadow-deny",
        "shared-cookies",
        "shared-key",
        "shared-tokens",
        "superuser",
        "tokens-in-memory",
        "unreachable",
        "unsigned-payload",
        "validation-reports",
        "weak-signatures",
        "wide-token",
        "writable-file",
        "wrong-schema",
    }
)
"""The names of all findings of this room, and that."""
