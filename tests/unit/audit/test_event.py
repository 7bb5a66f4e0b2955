"""What one line of the audit trail says."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.catalogue import CATALOGUE, REQUEST, WHO
from gateway.audit.event import LINE, Events
from gateway.audit.masks import partial_client, partial_subject
from gateway.audit.model import Mask
from gateway.audit.times import Stamp
from gateway.core.decision import Decision
from gateway.core.reason import Reason
from gateway.core.secret import Secret
from tests.exchanges import ID, exchange, principal, refused

ROOT = Path(__file__).parents[3]


def events(**mask: Any) -> Events:
    return Events(Mask(**mask), Secret(b"k" * 32))


def told(line: bytes | None) -> dict[str, Any]:
    assert line is not None
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    found: dict[str, Any] = json.loads(line)
    return found


def test_the_request_event_has_the_contracts_fields_in_the_contracts_order() -> None:
    contract = (
        "ts event request_id trace_id generation client issuer subject scheme credential_id roles route params method path "
        "status reason decision rule upstream credential bytes_in bytes_out duration_ms upstream_ms"
    )
    line = told(events().request(exchange(), 0.0451))
    assert " ".join(line).startswith(f"{contract} ")
    assert " ".join(REQUEST) == contract
    assert line == {
        "ts": "2027-01-15T08:00:00.250Z",
        "event": "request",
        "request_id": ID,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "generation": "gen-1",
        "client": "203.0.113.9",
        "issuer": "corp",
        "subject": "alice@example.com",
        "scheme": "jwt",
        "credential_id": "jti-1",
        "roles": ["member", "viewer"],
        "route": "github.issues",
        "params": {"owner": "acme", "repo": "tools"},
        "method": "GET",
        "path": "/github/repos/acme/tools/issues",
        "status": 200,
        "reason": None,
        "decision": "allow",
        "rule": "messages/read",
        "upstream": "github",
        "credential": "github-bot",
        "bytes_in": 10,
        "bytes_out": 1024,
        "duration_ms": 45.1,
        "upstream_ms": 30.0,
        "level": "info",
        "listener": "default",
    }


def test_what_is_unknown_is_null() -> None:
    line = told(
        events().request(refused(path="", route=None, params=None, trace_id="", status=None, upstream=None, client=""), 0.001)
    )
    unknown = {"trace_id", "client", "issuer", "subject", "scheme", "credential_id", "roles", "route", "params", "path", "status"}
    unknown |= {"reason", "decision", "rule", "upstream", "credential", "upstream_ms"}
    assert {name for name in REQUEST if line[name] is None} == unknown


def test_a_refusal_tells_reason_detail_shadow_and_conditions_that_failed() -> None:
    decision = Decision(False, None, shadow=("next/open", True), errors=("messages/office-hours",))
    line = told(
        events().request(
            refused(status=403, reason=Reason.POLICY_DENIED, detail="rule=None", decision=decision, error="client-gone"), 0.001
        )
    )
    assert (line["reason"], line["decision"], line["rule"]) == ("policy-denied", "deny", None)
    assert line["shadow"] == {"rule": "next/open", "decision": "allow", "would_change": True}
    assert line["condition_errors"] == ["messages/office-hours"]
    assert (line["detail"], line["error"]) == ("rule=None", "client-gone")


def test_neither_query_nor_headers_are_written() -> None:
    line = events().request(exchange(query=b"q=canary-query", user_agent=b"canary-agent", host="canary-host"), 0.001)
    assert b"canary" not in line


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_800_000_000.9996, "2027-01-15T08:00:00.999Z"),
        (1_800_000_001.001, "2027-01-15T08:00:01.000Z"),
    ],
    ids=["epoch", "never-rounds-up", "next-second"],
)
def test_timestamps_are_rfc_3339_utc_with_milliseconds(time: float, text: str) -> None:
    stamp = Stamp()
    stamp.text(5.0)
    assert stamp.text(time)[:-4] == text[:-4]
    assert abs(int(stamp.text(time)[-4:-1]) - int(text[-4:-1])) <= 1


@given(st.text(st.characters(codec=None), max_size=300), st.text(st.characters(codec=None), max_size=300))
def test_whatever_a_text_holds_the_event_is_one_line_of_valid_json(path: str, subject: str) -> None:
    line = events().request(exchange(path=path, principal=principal(id=subject), detail=subject, method=path), 0.001)
    found = told(line)
    assert found["event"] == "request"
    assert not set(line.decode("utf-8")[:-1]) & {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0x202E)}


@given(
    path=st.text(max_size=60),
    subject=st.text(max_size=40),
    params=st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
    status=st.none() | st.integers(200, 599),
    duration=st.floats(0, 1e4),
    upstream=st.none() | st.floats(0, 1e4),
    masking=st.sampled_from(["none", "partial", "keyed_hash"]),
)
def test_a_line_made_of_rendered_parts_is_the_line_made_of_all_fields(
    path: str, subject: str, params: Any, status: int | None, duration: float, upstream: float | None, masking: str
) -> None:
    by = events(subject=masking, client=masking)
    one = exchange(path=path, principal=principal(id=subject), params=params, status=status, upstream_seconds=upstream)
    known: dict[object, Any] = {}
    for memo in (None, None, known, known):  # the parts made, and found again
        one.memo = memo
        assert by.request(one, duration) == by.in_full(one, duration)
    one.status, one.params = 503, {"other": "end"}  # of the same request
    assert by.request(one, duration) == by.in_full(one, duration)


def test_a_forged_line_stays_inside_its_field() -> None:
    forged = 'x"}\n{"event":"gateway.stopped"}\u2028\x1b[2K\x9b1A'
    line = events().request(exchange(detail=forged, params={"owner": forged}), 0.001)
    assert told(line)["params"]["owner"] == forged
    assert b"\x1b" not in line
    assert "\x9b".encode() not in line


def test_a_line_is_bounded_and_keeps_the_beginning_of_each_text() -> None:
    huge = "a" * 100_000
    line = events().request(
        exchange(path="/" + huge, detail=huge, principal=principal(id=huge), params={str(n): huge for n in range(1000)}), 0.001
    )
    found = told(line)
    assert len(line) < 4 * LINE
    assert found["path"].startswith("/aaa")
    assert found["path"].endswith("…")
    assert len(found["subject"]) == 512
    assert len(found["params"]) == 32
    assert found["request_id"] == ID


def test_tokens_in_a_detail_are_masked() -> None:
    token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl"
    line = events().request(refused(detail=f"signature of {token} failed; sent Bearer canary-opaque-token"), 0.001)
    assert b"eyJ" not in line
    assert b"canary" not in line
    assert b"signature of REDACTED failed" in line


def test_subject_and_client_can_be_shortened_also_where_the_detail_repeats_them() -> None:
    line = told(
        events(subject="partial", client="partial").request(
            exchange(detail="alice@example.com from 203.0.113.9 has no role"), 0.001
        )
    )
    assert (line["subject"], line["client"]) == ("al***@example.com", "203.0.113.0/24")
    assert line["detail"] == "al***@example.com from 203.0.113.0/24 has no role"


def test_a_keyed_hash_is_stable_under_one_key_and_differs_by_key_and_by_issuer() -> None:
    def mark(key: bytes, issuer: str) -> str:
        maker = Events(Mask(subject="keyed_hash", client="keyed_hash"), Secret(key))
        line = maker.request(exchange(principal=principal(issuer=issuer)), 0.001)
        assert b"alice" not in line
        assert b"203.0.113" not in line
        return str(told(line)["subject"])

    assert mark(b"one", "corp") == mark(b"one", "corp")
    assert len({mark(b"one", "corp"), mark(b"two", "corp"), mark(b"one", "other")}) == 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [("alice@example.com", "al***@example.com"), ("spiffe://example.org/ci", "sp***"), ("a", "a***"), ("@x", "@x***")],
    ids=["mail", "spiffe", "short", "no-name"],
)
def test_a_partial_subject_shows_two_letters(text: str, shown: str) -> None:
    assert partial_subject(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("203.0.113.9", "203.0.113.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48"), ("", ""), ("unix", "***")],
    ids=["v4", "v6", "unknown", "no-address"],
)
def test_a_partial_client_is_its_network(text: str, shown: str) -> None:
    assert partial_client(text) == shown


def test_a_named_event_has_its_catalogued_fields_and_no_others() -> None:
    line = told(events().named("config.changed", 0.0, {"generation": "g2", "previous": "g1", "token": "canary", "listener": "x"}))
    assert list(line) == ["ts", "event", "level", *WHO, "generation", "previous", "files", "changes"]
    assert (line["level"], line["generation"], line["previous"]) == ("info", "g2", "g1")
    assert "canary" not in str(line)


def test_secrets_bytes_and_odd_values_in_a_named_event_are_never_shown_raw() -> None:
    odd = {"source": Secret(b"canary"), "credential": b"canary", "purpose": {"deep": [b"canary"]}, "detail": 1 << 80}
    line = events().named("secret.accessed", 0.0, odd)
    assert line is not None
    assert b"canary" not in line
    assert told(line)["detail"] == str(1 << 80)


def test_an_unknown_event_has_no_line() -> None:
    assert events().named("something.else", 0.0, {}) is None
    assert events().named("request", 0.0, {}) is None


def test_the_catalogue_holds_every_event_of_the_contract() -> None:
    contract = (
        "request auth.login.success auth.login.failed auth.token.invalid auth.key.created auth.key.revoked auth.key.rotated "
        "token.refreshed grant.connected grant.disconnected limit.exceeded address.blocked config.changed config.refused "
        "validation.failed secret.accessed gateway.started gateway.stopped"
    )
    assert " ".join(CATALOGUE).startswith(contract)
    assert {kind.level for kind in CATALOGUE.values()} <= {"info", "warning", "error"}


def test_every_event_the_code_records_is_catalogued_with_its_fields() -> None:
    found = []
    for file in (ROOT / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"event", "_tell"}):
                continue
            if node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
                found.append((file.name, node.args[0].value, {word.arg for word in node.keywords if word.arg}))
    unknown = [(file, name) for file, name, _ in found if name not in CATALOGUE]
    assert unknown == []
    extra = [(file, name, fields - {*WHO, *CATALOGUE[name].fields}) for file, name, fields in found]
    assert [place for place in extra if place[2]] == []


def test_the_account_that_somebody_connected_is_masked_as_he_is() -> None:
    given = {"issuer": "corp", "subject": "alice", "provider": "github", "account": "583231"}
    plain, masked = (told(by.named("grant.connected", 1.0, given)) for by in (events(), events(subject="keyed_hash")))
    assert (plain["subject"], plain["account"]) == ("alice", "583231")
    assert not {"alice", "583231"} & {masked["subject"], masked["account"]}
    assert told(events(subject="keyed_hash").named("grant.connected", 1.0, given | {"account": None}))["account"] is None
