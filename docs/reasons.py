"""What each reason means to whoever meets it, and what to do. docs/generate.py makes docs/reference/errors.md of it."""

from gateway.core.reason import Reason

MEANING: dict[Reason, tuple[str, str]] = {
    Reason.MALFORMED_REQUEST: (
        "The message is not HTTP as RFC 9112 (or 9113) frames it: a bad request line or Host, two lengths, a stray control byte.",
        "Use an HTTP library as it is; do not write framing headers yourself.",
    ),
    Reason.PATH_REFUSED: (
        "The path has dot segments in any encoding, an encoded slash or control character, `\\`, `//`, `#`, or is not UTF-8.",
        "Send the path in its plain form. Where a parameter must contain `%2F`, the route names it in `allow_encoded_slash`.",
    ),
    Reason.PARAM_INVALID: (
        "A path parameter does not match its pattern, or a header field or path parameter is not what the route's schema wants.",
        "Check the value against the route's `params` or `validate`; `errors` says where and by which keyword.",
    ),
    Reason.QUERY_INVALID: (
        "The query cannot be decoded as form data, can be read in two ways, or is not what the route's schema wants.",
        "Percent-encode the query as UTF-8, each name once; `errors` says where and by which keyword.",
    ),
    Reason.CREDENTIAL_AMBIGUOUS: (
        "Two different credentials came with one request.",
        "Send one: a bearer token, or an API key, or a cookie.",
    ),
    Reason.STATE_INVALID: (
        "A provider's answer does not belong to a login, or to a connection of an account, that this session began.",
        "Begin again.",
    ),
    Reason.CREDENTIAL_MISSING: (
        "The route wants to know who is asking.",
        "Send a credential of one of the kinds in `WWW-Authenticate`.",
    ),
    Reason.CREDENTIAL_INVALID: (
        "The presented credential fails. The answer is the same for an unknown key, a wrong one and a revoked one.",
        "Get a fresh credential. Operators find the detail in the audit event with this request's id.",
    ),
    Reason.CREDENTIAL_EXPIRED: ("The presented credential was good once.", "Renew it."),
    Reason.STEP_UP_REQUIRED: (
        "The token is good, but its login was too weak or too long ago for this: a rule says `step_up` (RFC 9470).",
        "Log in again as `WWW-Authenticate` asks (`acr_values`, `max_age`) and send the new token.",
    ),
    Reason.POLICY_DENIED: (
        "Nothing allows this principal this action here, or a rule denies it.",
        "Operators: `gateway policy explain METHOD PATH --claims FILE`; the audit event names the rule.",
    ),
    Reason.INSUFFICIENT_SCOPE: (
        "The principal's roles allow this, but the token's scopes do not cover it; or those of its grant at `provider` do not.",
        "Ask the identity provider for a token with the scope. With `provider`: connect there again and allow `missing_scopes`.",
    ),
    Reason.ORIGIN_DENIED: ("A browser sent this from an origin that is not listed.", "Add the origin to the route's `cors`."),
    Reason.ADDRESS_BLOCKED: (
        "Too many credentials failed at this address, so it is not served for a while. (`deny_from` ends connections unheard.)",
        "Mend the credential and wait; operators: `gateway blocks list` and `gateway blocks release ADDRESS`.",
    ),
    Reason.UPSTREAM_CREDENTIAL_MISSING: (
        "The request is allowed, and there is no credential of the upstream for this principal, or for what it asks there.",
        "Operators: the audit event's `detail` names the credential and why; see the how-to of its provider.",
    ),
    Reason.RESPONSE_WITHHELD: (
        "A rule says what may be seen of the upstream's answers, and this one is not that, or cannot be inspected.",
        "Operators: [what clients see of answers](../how-to/redaction.md); the audit event tells what stood in the way.",
    ),
    Reason.TLS_REQUIRED: ("This came without TLS where only TLS is served.", "Use `https://`."),
    Reason.NO_ROUTE: ("Nothing here claims this path.", "Check the path; `/a` and `/a/` are two paths."),
    Reason.NOT_FOUND: (
        "There is no such thing, or none that this principal may know of. The two are not told apart.",
        "Operators: the audit event has the upstream's status.",
    ),
    Reason.METHOD_NOT_ALLOWED: ("The path exists, but not with this method.", "`Allow` lists the methods."),
    Reason.REQUEST_TIMEOUT: ("The request's head or body came too slowly.", "Send it faster; the bounds are in `limits`."),
    Reason.BODY_TOO_LARGE: (
        "The body is larger than the route takes. The connection is closed.",
        "Send less, or raise `limits.body`.",
    ),
    Reason.TARGET_TOO_LONG: ("The request line is too long.", "Move data from the query into a body."),
    Reason.MEDIA_TYPE: (
        "The route does not take this Content-Type or Content-Encoding.",
        "Send one of the route's `content_types`.",
    ),
    Reason.EXPECTATION_FAILED: ("`Expect` names something else than `100-continue`.", "Leave the header out."),
    Reason.MISDIRECTED: ("The host is not served here.", "Check the name; operators list theirs in `hosts`."),
    Reason.BODY_INVALID: (
        "The body does not fit the route's JSON Schema.",
        "`errors` names each place (`pointer`) and the schema keyword it fails, never the value.",
    ),
    Reason.UPGRADE_REQUIRED: (
        "A WebSocket handshake of another version than 13.",
        "Use a client that speaks RFC 6455; the answer's `Sec-WebSocket-Version` names the version.",
    ),
    Reason.RATE_LIMITED: (
        "A limit is used up. `type` is the quota-exceeded URI of the RateLimit draft; `violated-policies` names the limits.",
        "Wait as long as `Retry-After` says.",
    ),
    Reason.HEADERS_TOO_LARGE: (
        "The header section is too large or has too many fields.",
        "Send fewer or smaller headers and cookies.",
    ),
    Reason.INTERNAL: (
        "A bug in the gateway. The answer says nothing; the operator log says everything.",
        "Report it with `request_id`.",
    ),
    Reason.METHOD_NOT_IMPLEMENTED: ("CONNECT and TRACE are not served.", "Use another method."),
    Reason.VERSION_NOT_SUPPORTED: ("The HTTP version is not served.", "Use HTTP/1.1."),
    Reason.LOOP_DETECTED: ("The request has been here before: `Via` names this gateway.", "An upstream leads back to the gateway."),
    Reason.UPSTREAM_UNREACHABLE: (
        "The upstream refused the connection, broke it, or its certificate does not verify.",
        "Runbook [GatewayUpstreamFailing](../how-to/runbooks.md#gatewayupstreamfailing).",
    ),
    Reason.UPSTREAM_PROTOCOL: (
        "The upstream's answer is not HTTP/1.1.",
        "Look at the upstream; operators find the detail in the audit event.",
    ),
    Reason.UPSTREAM_OVERLOADED: (
        "All connections to the upstream are taken, its circuit is open, or none of its addresses is healthy.",
        "Try again after `Retry-After` seconds; operators look at `/readyz?verbose` and may raise `connections`.",
    ),
    Reason.DEPENDENCY_DOWN: (
        "Something the request needs cannot be had: an issuer's keys, a limit store set to fail closed, an upstream credential.",
        "Try again later; operators look at `/readyz?verbose`.",
    ),
    Reason.DRAINING: ("This instance is stopping.", "Try again; another instance answers."),
    Reason.OVERLOADED: ("This instance takes no more.", "Try again later."),
    Reason.AUDIT_FULL: (
        "The audit trail cannot be written, and nothing is served unseen.",
        "Runbook [GatewayAuditFailing](../how-to/runbooks.md#gatewayauditfailing).",
    ),
    Reason.UPSTREAM_TIMEOUT: ("The upstream did not answer in time.", "Operators: `timeouts` of the upstream and of the route."),
}
