"""A configuration with policies and their tests, for whoever asks the `policy` commands about it."""

from pathlib import Path

CONFIG = """\
version: 1
policies: policies
authentication:
  jwt:
    corp: {issuer: "https://idp.example/", audience: [https://gw.example], jwks: {file: keys.json}, algorithms: [ES256]}
upstreams:
  api: {url: https://api.example.com}
routes:
  - {name: notes.list, match: {path: "/orgs/{org}/notes", methods: [GET, POST]}, upstream: api, authenticate: [jwt.corp]}
  - {name: notes.one, match: {path: "/orgs/{org}/notes/{note}", methods: [GET, DELETE]}, upstream: api, authenticate: [jwt.corp]}
"""
KEYS = """\
{"keys": [{"kty": "EC", "kid": "a", "crv": "P-256",
           "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
           "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}
"""
"""The public key of RFC 7517 A.1."""
ROLES = """\
apiVersion: gateway/v1
kind: Roles
roles:
  reader: [notes:read]
  writer: {extends: [reader], permissions: [notes:write]}
bindings:
  - {from_claim: roles, issuer: corp, only: [reader, writer]}
  - {role: writer, subjects: ["corp:wanda"]}
"""
POLICY = """\
apiVersion: gateway/v1
kind: Policy
name: notes
routes: [notes.*]
rules:
  - name: read-own
    allow: [GET]
    permission: notes:read
    when: subject.claims.org == resource.params.org
  - name: write-own
    allow: [POST, DELETE]
    permission: notes:write
    when: subject.claims.org == resource.params.org
  - name: blocked
    deny: any
    when: cidr('203.0.113.0/24').containsIP(request.client_ip)
    reason: This network is blocked.
"""
TESTS = """\
apiVersion: gateway/v1
kind: PolicyTest
name: notes
subjects:
  rita: {issuer: corp, claims: {org: acme, roles: [reader]}}
  wanda: {issuer: corp, claims: {org: acme}}
  mallory: {issuer: corp, claims: {org: globex, roles: [writer]}}
cases:
  - name: members read
    request: GET /orgs/acme/notes
    expect: {rita: allow, wanda: allow}
    rule: notes/read-own
  - name: writers write
    request: POST /orgs/acme/notes
    expect: {wanda: allow}
  - name: a blocked network reads nothing
    request: GET /orgs/acme/notes
    from: 203.0.113.9
    expect: {rita: deny}
    rule: notes/blocked
"""


def furnish(folder: Path, *, policy: str = POLICY, roles: str = ROLES, tests: str = TESTS, config: str = CONFIG) -> Path:
    """Write it all into a folder."""
    folder.joinpath("config.yaml").write_text(config, encoding="utf-8")
    folder.joinpath("keys.json").write_text(KEYS)
    policies = folder / "policies"
    policies.mkdir(exist_ok=True)
    for name, text in (("roles.yaml", roles), ("notes.yaml", policy), ("notes_test.yaml", tests)):
        policies.joinpath(name).write_text(text, encoding="utf-8")
    return folder
