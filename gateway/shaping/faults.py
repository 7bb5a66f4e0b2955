"""What ends the shaping of an answer."""


class Unreadable(ValueError):
    """What came cannot be inspected; the text says where and why, for the audit trail."""


class Unplanned(Unreadable):
    """The paths have more states than a plan may have."""
