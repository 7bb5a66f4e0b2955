"""Why something sealed does not open. A fault names the text's key and the cause, never what is inside."""

from enum import StrEnum


class Fault(StrEnum):
    """What is wrong, as a label of metrics."""

    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown-key"
    ALTERED = "altered"


class NotOpened(ValueError):
    """A sealed text that cannot be read, in the words of one line. `fault` says whether somebody may have tampered with it."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault
