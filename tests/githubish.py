"""GitHub as far as apps see it: installation tokens for a JWT of the app, narrowed, and an API that honours what they are for."""

import base64
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.house import Seen
from tests.minting import Asked, reply

APP, INSTALLATION, ACCOUNT = "Iv23liExample", 4711, "octocat"
REPOSITORIES = frozenset(("hello-world", "secrets"))
PERMISSIONS = {"issues": "write", "contents": "write", "metadata": "read", "pull_requests": "write"}
LEVELS = {"read": 0, "write": 1}
WRITES = frozenset(("POST", "PUT", "PATCH", "DELETE"))


@dataclass
class Github:
    """One app, installed once. `minted` is what each token was asked to be for."""

    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    minted: list[dict[str, Any]] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)
    clock: Callable[[], float] = time.time

    @property
    def pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def mint(self, asked: Asked) -> bytes:
        """POST /app/installations/{id}/access_tokens."""
        if asked.method != "POST" or asked.target != f"/app/installations/{INSTALLATION}/access_tokens":
            return reply({"message": "Not Found"}, 404)
        if complaint := self._judged(asked.header("authorization") or ""):
            return reply({"message": complaint}, 401)
        if not asked.header("user-agent") or "github" not in (asked.header("accept") or ""):
            return reply({"message": "a user agent and GitHub's media type are needed"}, 403)
        wanted = asked.json() if asked.body else {}
        names, levels = wanted.get("repositories"), wanted.get("permissions", PERMISSIONS)
        if names is not None and not set(names) <= REPOSITORIES:
            return reply({"message": "There is at least one repository that does not exist"}, 422)
        if any(LEVELS[level] > LEVELS.get(PERMISSIONS.get(name, ""), -1) for name, level in levels.items()):
            return reply({"message": "The permissions requested are not granted to this installation"}, 422)
        self.minted.append({"repositories": names, "permissions": levels})
        said = {"n": len(self.minted), "r": names, "p": levels}
        token = "ghs_" + base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
        ends = datetime.fromtimestamp(self.clock() + 3600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        told = {"token": token, "expires_at": ends, "permissions": levels}
        if names is not None:
            told |= {"repository_selection": "selected", "repositories": [{"name": name} for name in names]}
        else:
            told["repository_selection"] = "all"
        return reply(told, 201)

    def _judged(self, authorization: str) -> str:
        """docs.github.com: RS256, the app as issuer, ten minutes at most, issued in the past."""
        scheme, _, token = authorization.partition(" ")
        try:
            options: Any = {"require": ["iat", "exp", "iss"], "verify_exp": False, "verify_iat": False}  # by our own clock, below
            said = jwt.decode(token, self.key.public_key(), ["RS256"], issuer=APP, options=options)
        except jwt.PyJWTError as error:
            return f"A JSON web token could not be decoded: {error}"
        now = self.clock()
        if scheme.lower() != "bearer" or said["iat"] > now or not now < said["exp"] <= now + 600:
            return "'Issued at' or 'Expiration time' claim is not what it must be"
        return ""

    def serve(self, seen: Seen) -> bytes:
        """The API: 401 for a token that is none, 403 for one that is not for this."""
        [authorization] = seen.all("authorization") or [""]
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" or not token.startswith("ghs_") or token in self.revoked:
            return reply({"message": "Bad credentials"}, 401)
        said = json.loads(base64.urlsafe_b64decode(token[4:] + "=" * (-len(token[4:]) % 4)))
        found = re.match(r"/repos/([^/]+)/([^/]+)/([^/?]+)", seen.target)
        if found is None:
            return reply({"ok": True})
        needed = {"issues": "issues", "labels": "issues", "contents": "contents", "pulls": "pull_requests"}.get(
            found[3], "metadata"
        )
        has = LEVELS.get(said["p"].get(needed, ""), -1)
        if (said["r"] is not None and found[2] not in said["r"]) or has < (seen.method in WRITES):
            return reply({"message": "Resource not accessible by integration"}, 403)
        issue = {"number": 42, "title": "Found a bug"}
        return reply([issue] if seen.method == "GET" and found[3] == "issues" and seen.target.count("/") == 4 else issue)
