"""A refusal that says where and by which keyword, never what was there."""

from collections.abc import Sequence

from gateway.core.errors import BadRequest
from gateway.core.reason import Reason
from gateway.edge.pointer import Finding


def invalid(part: str, findings: Sequence[Finding], reason: Reason = Reason.BODY_INVALID) -> BadRequest:
    """The refusal of a part of a request, of which something was found."""
    errors = [{"pointer": pointer, "keyword": keyword} for pointer, keyword in findings]
    return BadRequest(f"{part}: {errors[0]['keyword']}", reason=reason, members={"errors": errors})
