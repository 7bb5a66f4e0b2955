"""`gateway policy explain`: asked by a token, and about a recorded request."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.issuer import EcKey, jwks, mint
from tests.policyhouse import CONFIG, POLICY, furnish
from tests.unit.cli.conftest import Command
from tests.unit.cli.test_policy_diff import an_event

ASK = ("policy", "explain", "GET", "/orgs/acme/notes")
CANARY = "canary-0c1f"


@pytest.fixture
def key(folder: Path) -> EcKey:
    key = EcKey()
    furnish(folder)
    (folder / "keys.json").write_bytes(jwks(key))
    return key


def a_token(key: EcKey, **changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": "https://idp.example/", "aud": "https://gw.example", "sub": "rita", "org": "acme", "roles": ["reader"]}
    return mint(key, claims | {"iat": now, "exp": now + 600, "jti": CANARY} | changes)


def test_a_token_is_verified_as_the_gateway_would(folder: Path, command: Command, key: EcKey) -> None:
    token = a_token(key)
    (folder / "token.txt").write_text(f"Bearer {token}\n")
    for given in (token, "token.txt"):
        code, out, err = command(*ASK, "--token", given, "--format", "json")
        found = json.loads(out)
        assert (code, found["decision"], found["rule"], found["subject"], found["verified"]) == (
            (0, "allow", "notes/read-own", "rita", True)
        )
        assert token.rpartition(".")[2] not in out + err


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"exp": 1_700_000_000}, "401 credential-expired (jwt corp: expired)"),
        ({"aud": "other"}, "401 credential-invalid (jwt corp: for another audience)"),
        ({"iss": "https://else.example/"}, "401 credential-invalid"),
    ],
    ids=["expired", "audience", "issuer"],
)
def test_a_token_that_fails_is_refused_in_the_gateways_words(
    folder: Path, command: Command, key: EcKey, changes: dict[str, Any], told: str
) -> None:
    code, out, _ = command(*ASK, "--token", a_token(key, **changes))
    assert (code, out.startswith("refused before any policy: "), told in out) == (1, True, True)


def test_a_forged_token_is_refused(folder: Path, command: Command, key: EcKey) -> None:
    code, out, _ = command(*ASK, "--token", a_token(EcKey()))
    assert (code, "no key verifies the signature" in out) == (1, True)


def test_claims_of_an_unverified_token_are_believed_and_that_is_said_first(folder: Path, command: Command, key: EcKey) -> None:
    token = a_token(EcKey(), exp=1_700_000_000)
    code, out, _ = command(*ASK, "--token", token, "--unverified")
    assert (code, out.startswith("*** NOT VERIFIED: "), "\nALLOW  GET /orgs/acme/notes" in out) == (0, True, True)
    assert json.loads(command(*ASK, "--token", token, "--unverified", "--format", "json")[1])["verified"] is False


@pytest.mark.parametrize(
    "arguments",
    [
        (*ASK, "--as", "rita", "--token", "x"),
        (*ASK, "--unverified"),
        (*ASK, "--token", "no-token", "--unverified"),
        (*ASK, "--claims", "list.json"),
        (*ASK, "--header", "none"),
        (*ASK, "--request", "r1"),
        ("policy", "explain", "--request", "r1"),
        ("policy", "explain", "--request", "r1", "--audit", "missing.jsonl"),
        ("policy", "explain", "--request", "other", "--audit", "audit.jsonl"),
        ("policy", "explain"),
    ],
    ids=lambda arguments: " ".join(arguments[2:]),
)
def test_a_question_that_is_none_is_refused(folder: Path, command: Command, key: EcKey, arguments: tuple[str, ...]) -> None:
    (folder / "list.json").write_text("[]")
    (folder / "audit.jsonl").write_bytes(an_event())
    code, out, err = command(*arguments)
    assert (code, out, "Traceback" in err) == (2, "", False)


def test_header_fields_can_be_given(folder: Path, command: Command) -> None:
    rules = POLICY.replace("cidr('203.0.113.0/24').containsIP(request.client_ip)", "has(request.headers['x-debug'])")
    furnish(folder, policy=rules)
    assert command(*ASK, "--as", "rita", "--header", "X-Debug: 1")[1].startswith("DENY")
    assert command(*ASK, "--as", "rita")[1].startswith("ALLOW")


def test_a_body_can_be_given(folder: Path, command: Command) -> None:
    furnish(
        folder, policy=POLICY.replace("when: subject.claims.org ==", "when: request.body.kind == 'note' && subject.claims.org ==")
    )
    (folder / "note.json").write_text('{"kind": "note"}')
    (folder / "order.json").write_text('{"kind": "order"}')
    ask = ("policy", "explain", "POST", "/orgs/acme/notes", "--as", "wanda", "--header", "Content-Type: application/json")
    assert command(*ask, "--body", "note.json")[1].startswith("ALLOW")
    assert command(*ask, "--body", "order.json")[1].startswith("DENY")
    assert command(*ask)[1].startswith("DENY")
    assert command(*ask, "--body", "missing.json")[0] == 2


def test_a_body_that_the_gateway_would_not_inspect_is_no_question(folder: Path, command: Command) -> None:
    furnish(folder)
    (folder / "twice.json").write_text('{"kind": "order", "kind": "note"}')
    code, _, err = command("policy", "explain", "POST", "/orgs/acme/notes", "--as", "wanda", "--body", "twice.json")
    assert code == 2
    assert "duplicate" in err


def test_a_recorded_request_is_explained_from_what_the_trail_carries(folder: Path, command: Command) -> None:
    furnish(folder, config=CONFIG + "audit: {file: audit.jsonl}\n")
    (folder / "audit.jsonl.1").write_bytes(an_event(method="GET", rule="notes/read-own", roles=["reader"], generation="abc"))
    (folder / "audit.jsonl").write_bytes(an_event(request_id="r2") + b"torn")
    code, out, err = command("policy", "explain", "--request", "r1")
    assert (code, err) == (0, "")
    lines = out.replace(f"{folder}/", "").splitlines()
    assert lines[0].startswith("ALLOW  GET /orgs/acme/notes   subject=wanda   issuer=corp   route notes.list   policy rev ")
    told = "recorded: allow by notes/read-own   2026-11-20T10:00:00.000Z   request r1   client 192.0.2.1   roles reader"
    assert lines[1].strip() == told
    assert lines[2].strip() == "these policies can have given that answer, depending on subject.claims"
    assert lines[3].strip().startswith("the configuration has changed since: generation abc then, ")
    assert [line.rstrip() for line in lines[5:]] == [
        "  ✓ notes/blocked (deny)   policies/notes.yaml:14   not matched",
        "      cidr('203.0.113.0/24').containsIP(request.client_ip)      false",
        "        request.client_ip = '192.0.2.1'",
        "  ? notes/read-own   policies/notes.yaml:6   permission notes:read: yes   undecidable from the trail",
        "      subject.claims.org == resource.params.org                 undecidable from the trail",
        "        subject.claims.org is not in the trail   resource.params.org = 'acme'",
    ]


def test_a_recorded_answer_that_these_policies_would_not_give_is_told(folder: Path, command: Command) -> None:
    furnish(folder)
    (folder / "audit.jsonl").write_bytes(an_event(roles=["reader"]))
    code, out, _ = command("policy", "explain", "--request", "r1", "--audit", "audit.jsonl")
    assert (code, "these policies give another answer: deny by default" in out) == (0, True)
    found = json.loads(command("policy", "explain", "--request", "r1", "--audit", "audit.jsonl", "--format", "json")[1])
    assert (found["agrees"], found["answers"], found["recorded"]["decision"]) == (False, ["deny by default"], "allow")


def test_a_request_that_no_policy_decided_says_what_refused_it(folder: Path, command: Command) -> None:
    furnish(folder)
    (folder / "audit.jsonl").write_bytes(an_event(decision=None, status=401, reason="credential-missing", detail="x\x1b[2J"))
    code, out, _ = command("policy", "explain", "--request", "r1", "--audit", "audit.jsonl")
    assert (code, out) == (1, "no policy decided it: POST /orgs/acme/notes 401 credential-missing x\\u001b[2J\n")


def test_nothing_of_a_hostile_trail_reaches_the_terminal(folder: Path, command: Command) -> None:
    furnish(folder)
    evil = "\x1b]0;owned\x07\u202e\n"
    texts = {"request_id": "r1", "subject": evil, "path": evil, "client": evil, "generation": evil, "roles": [evil], "rule": evil}
    (folder / "audit.jsonl").write_bytes(an_event(**texts, params={"org": evil}, condition_errors=[evil], later={"x": [evil]}))
    for form in ("text", "json"):
        code, out, err = command("policy", "explain", "--request", "r1", "--audit", "audit.jsonl", "--format", form)
        assert code == 0
        assert all(line.isprintable() for line in (out + err).split("\n"))


def test_roles_are_told_with_where_they_come_from_and_demands_with_what_they_say(folder: Path, command: Command) -> None:
    furnish(
        folder, policy=POLICY.replace("    permission: notes:read\n", "    permission: notes:read\n    then: {max_body: 1KiB}\n")
    )
    out = command(*ASK, "--as", "wanda")[1].replace(f"{folder}/", "")
    assert "\n  demands max_body: 1024\n" in out
    assert out.endswith("\n  role reader   through writer\n  role writer   policies/roles.yaml:8\n")
    found = json.loads(command(*ASK, "--as", "wanda", "--format", "json")[1])
    assert (found["roles"]["reader"], found["demands"]) == ("through writer", {"max_body": ["1024"]})


def test_what_was_supposed_is_said_in_the_head(folder: Path, command: Command) -> None:
    furnish(folder)
    told = "  supposed: at 2026-01-01T12:00:00Z (--now), from 192.0.2.1 (--from), no body (--body)"
    assert told in command(*ASK, "--as", "rita")[1].splitlines()
    stated = ("--now", "2026-05-01T10:00:00Z", "--from", "198.51.100.7")
    assert "  supposed: no body (--body)" in command(*ASK, "--as", "rita", *stated)[1].splitlines()
    found = json.loads(command(*ASK, "--as", "rita", "--format", "json")[1])
    assert found["supposed"] == {"now": "2026-01-01T12:00:00Z", "from": "192.0.2.1", "body": ""}


def test_a_token_or_its_claims_are_asked_about_now(folder: Path, command: Command, key: EcKey) -> None:
    (folder / "claims.json").write_text('{"iss": "https://idp.example/", "sub": "rita", "org": "acme", "roles": ["reader"]}')
    for bearer in (("--claims", "claims.json"), ("--token", a_token(key))):
        found = json.loads(command(*ASK, *bearer, "--format", "json")[1])
        assert found["decision"] == "allow"
        assert abs(datetime.fromisoformat(found["supposed"]["now"]).timestamp() - time.time()) < 600


@pytest.mark.parametrize(("option", "value"), [("--now", "yesterday"), ("--from", "home")])
def test_a_wrong_value_names_its_option(folder: Path, command: Command, option: str, value: str) -> None:
    furnish(folder)
    code, _, err = command(*ASK, "--as", "rita", option, value)
    assert (code, f"Invalid value for {option}: " in err) == (2, True)


def test_an_allow_whose_step_up_is_not_met_is_a_challenge(folder: Path, command: Command) -> None:
    demanding = "    permission: notes:read\n    then: {step_up: {acr: [strong], max_age: 5m}}\n"
    furnish(folder, policy=POLICY.replace("    permission: notes:read\n", demanding))
    first = command(*ASK, "--as", "rita")[1].splitlines()[0]
    assert (first.startswith("CHALLENGE  GET /orgs/acme/notes   "), first.endswith("   step-up not met: acr")) == (True, True)
    found = json.loads(command(*ASK, "--as", "rita", "--format", "json")[1])
    assert (found["decision"], found["step_up_not_met"]) == ("allow", ["acr"])


def test_a_break_glass_role_tells_why_all_is_audited(folder: Path, command: Command) -> None:
    furnish(folder)
    assert "break-glass" not in command(*ASK, "--as", "rita")[1]
    roles = (folder / "policies" / "roles.yaml").read_text()
    urgent = roles.replace("reader: [notes:read]", "reader: {permissions: [notes:read], break_glass: true}")
    (folder / "policies" / "roles.yaml").write_text(urgent)
    assert "  audited in full: role reader is break-glass" in command(*ASK, "--as", "rita")[1].splitlines()
