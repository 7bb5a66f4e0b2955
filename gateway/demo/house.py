"""The demo's files: keys, a configuration and policies such as a user would write, in a temporary folder."""

import json
import time
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

ISSUER: Final = "https://idp.demo.example/"
AUDIENCE: Final = "https://gateway.demo.example"
LIFETIME: Final = 12 * 3600

CONFIG: Final = """\
version: 1
listen: {{address: "127.0.0.1:{port}"}}
admin: {{address: "127.0.0.1:{admin}"}}
authentication:
  jwt:
    demo: {{issuer: "{issuer}", audience: ["{audience}"], jwks: {{file: jwks.json}}, algorithms: [ES256]}}
policies: policies
rate_limits:
  rules:
    per-principal: {{key: subject, limit: 60/minute}}
    search: {{key: subject, limit: 2/minute, algorithm: bucket}}
credentials:
  tracker-bot: {{inject: bearer, secret: {{env: TRACKER_TOKEN}}}}
upstreams:
  tracker: {{url: "http://127.0.0.1:{tracker}", credential: tracker-bot, allow_plaintext: true, allow_private: true}}
routes:
  - {{name: issues.list, match: {{path: "/projects/{{owner}}/issues", methods: [GET, POST]}}, upstream: tracker,
     authenticate: [jwt.demo], rate_limits: [per-principal]}}
  - {{name: issues.one, match: {{path: "/projects/{{owner}}/issues/{{number}}", methods: [GET]}}, upstream: tracker,
     authenticate: [jwt.demo], rate_limits: [per-principal]}}
  - {{name: search, match: {{path: /search, methods: [GET]}}, upstream: tracker,
     authenticate: [jwt.demo], rate_limits: [search]}}
  - {{name: events, match: {{path: /events, methods: [GET]}}, upstream: tracker,
     authenticate: [jwt.demo], rate_limits: [per-principal]}}
  - {{name: whoami, match: {{path: /whoami, methods: [GET]}}, upstream: tracker,
     authenticate: [jwt.demo], rate_limits: [per-principal]}}
audit: {{file: audit.jsonl}}
log: {{level: warning, format: text}}
"""
ROLES: Final = """\
apiVersion: gateway/v1
kind: Roles
roles:
  member: [issues:read, issues:write]
bindings:
  - {from_claim: roles, issuer: demo, only: [member]}
"""
POLICY: Final = """\
apiVersion: gateway/v1
kind: Policy
name: tracker
routes: [issues.*, search, events, whoami]
rules:
  - name: read-own-project
    allow: [GET]
    permission: issues:read
    when: "!has(resource.params.owner) || resource.params.owner == subject.claims.org"
  - name: write-own-project
    allow: [POST]
    permission: issues:write
    when: resource.params.owner == subject.claims.org
"""


def furnish(folder: Path, *, port: int, admin: int, tracker: int) -> str:
    """Write everything the demo's gateway needs; returns the token of alice, a member of acme."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    (folder / "jwks.json").write_text(json.dumps({"keys": [{**public, "kid": "demo", "alg": "ES256", "use": "sig"}]}))
    (folder / "policies").mkdir()
    (folder / "policies" / "roles.yaml").write_text(ROLES)
    (folder / "policies" / "tracker.yaml").write_text(POLICY)
    text = CONFIG.format(port=port, admin=admin, tracker=tracker, issuer=ISSUER, audience=AUDIENCE)
    (folder / "config.yaml").write_text(text)
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + LIFETIME, "org": "acme", "roles": ["member"]}
    return jwt.encode(claims, key, "ES256", headers={"kid": "demo"})
