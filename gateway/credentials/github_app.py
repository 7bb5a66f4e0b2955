"""Installation tokens of a GitHub App, for the one repository a request names and the permission it needs.

docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app, docs.github.com/rest/apps/apps (access_tokens)
"""

import base64
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from gateway.core.decision import Permit
from gateway.core.errors import DependencyDown, Ungranted
from gateway.core.message import Outbound
from gateway.core.ports import Clock
from gateway.credentials.answer import successful, token_of
from gateway.credentials.assertion import Signer
from gateway.credentials.endpoint import TokenEndpoint
from gateway.credentials.google import left
from gateway.credentials.header import bearer
from gateway.credentials.oauth_model import GithubApp
from gateway.credentials.placed import field_value
from gateway.credentials.token import Fresh, Wanted

BACKDATED: Final = 60
"""Seconds: GitHub advises it against clocks that differ."""
LIFE: Final = 540
"""Seconds from now to the end of a statement of the app, at most 600 for GitHub."""
AHEAD: Final = 300.0
HEADERS: Final = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
LEVELS: Final = {"read": 0, "write": 1, "admin": 2}

# The path as it goes out, behind whatever prefix a GitHub Enterprise Server has: /repos/OWNER/REPO and what is asked of it, or a
# repository as git knows it.
REST: Final = re.compile(rb"(?:/api/v3)?/repos/([A-Za-z0-9._-]+)/([A-Za-z0-9._-]+)(?:/([a-z-]+)(?:/.*)?)?")
GIT: Final = re.compile(rb"/([A-Za-z0-9._-]+)/([A-Za-z0-9._-]+?)(?:\.git)?/(info/refs|git-upload-pack|git-receive-pack)")

NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "actions": ("actions",),
    "assignees": ("issues", "pull_requests"),
    "branches": ("contents", "administration"),
    "check-runs": ("checks",),
    "check-suites": ("checks",),
    "commits": ("contents",),
    "compare": ("contents",),
    "contents": ("contents",),
    "dependabot": ("vulnerability_alerts", "dependabot_secrets"),
    "deployments": ("deployments",),
    "environments": ("environments", "actions"),
    "git": ("contents",),
    "hooks": ("repository_hooks",),
    "issues": ("issues", "pull_requests"),
    "labels": ("issues", "pull_requests"),
    "milestones": ("issues", "pull_requests"),
    "pages": ("pages",),
    "pulls": ("pull_requests", "contents"),
    "readme": ("contents",),
    "releases": ("contents",),
    "statuses": ("statuses",),
    "tags": ("contents",),
    "tarball": ("contents",),
    "zipball": ("contents",),
}
"""Which permissions what is asked of a repository may need. What is not in here gets all that are configured."""


class Asked(NamedTuple):
    """What a request is about: an account's repository, None where it names none, what of it, and whether it only reads."""

    account: str
    repository: str | None
    what: str
    reads: bool
    git: bool


class GithubAppRecipe:
    """A token for each repository and set of permissions that is asked for."""

    def __init__(self, model: GithubApp, endpoint: TokenEndpoint, signer: Signer, clock: Clock) -> None:
        self._model = model
        self._endpoint = endpoint
        self._signer = signer
        self._clock = clock
        self._path = f"/app/installations/{model.installation_id}/access_tokens"
        self._repositories = frozenset(name.lower() for name in model.repositories)

    def __call__(self, outbound: Outbound, permit: Permit) -> Wanted:
        about = asked(outbound.method, outbound.target)
        self._judge(about)
        permissions = tuple(sorted(self._permissions(about).items()))
        repository = about.repository and about.repository.lower()
        mint = partial(self._mint, repository, permissions)
        return Wanted((repository, permissions, about.git), mint, ahead=AHEAD, form=git_basic if about.git else bearer)

    def _judge(self, about: Asked) -> None:
        """Raises Ungranted for what this installation is not for."""
        if about.repository is None:
            if not self._model.everywhere:
                raise Ungranted("the path names no repository (`everywhere: true` gives such requests a token for all of them)")
            return
        if about.account.lower() != self._model.account.lower():
            raise Ungranted(f"the app is installed for {self._model.account}, not for another account")
        if self._repositories and about.repository.lower() not in self._repositories:
            raise Ungranted("the repository is not among `repositories`")

    def _permissions(self, about: Asked) -> dict[str, str]:
        """Those configured that the request may need, to read where it only reads. Raises Ungranted where there are none."""
        most = self._model.permissions
        named = NEEDED.get(about.what, tuple(most))
        found: dict[str, str] = {name: "read" if about.reads else most[name] for name in named if name in most}
        if not about.reads:
            found = {name: level for name, level in found.items() if LEVELS[level]}
        if not found:
            raise Ungranted(f"`permissions` hold nothing that {'reads' if about.reads else 'writes'} {about.what or 'this'}")
        return found

    async def _mint(self, repository: str | None, permissions: tuple[tuple[str, str], ...]) -> Fresh:
        asked_for: dict[str, Any] = {"permissions": dict(permissions)}
        if repository is not None:
            asked_for["repositories"] = [repository]
        elif self._model.repositories:
            asked_for["repositories"] = self._model.repositories
        now = int(self._clock.now())
        said = self._signer({"iat": now - BACKDATED, "exp": now + LIFE, "iss": self._model.app_id})
        answer = await self._endpoint.json(asked_for, {"authorization": f"Bearer {said}", **HEADERS}, self._path)
        # 422 is GitHub's answer to a repository or permission that the installation does not have.
        if answer.status == 422:
            raise Ungranted("the installation has not got this repository, or these permissions")
        members = successful(answer, self._endpoint.host)
        if repository is not None and not narrowed(members, repository):
            raise DependencyDown(f"{self._endpoint.host}: the token is for more than the repository that was asked for")
        return Fresh(
            token_of(members, "token", self._endpoint.host), left(members.get("expires_at"), self._clock.now(), self._endpoint.host)
        )


def asked(method: str, target: bytes) -> Asked:
    """What a request to GitHub is about."""
    path, _, query = target.partition(b"?")
    if found := REST.fullmatch(path):
        account, repository = found[1].decode(), found[2].decode()
        return Asked(account, repository, (found[3] or b"").decode(), method in SAFE, git=False)
    if found := GIT.fullmatch(path):
        pushes = found[3] == b"git-receive-pack" or b"git-receive-pack" in query
        return Asked(found[1].decode(), found[2].decode(), "git", not pushes, git=True)
    return Asked("", None, "", method in SAFE, git=False)


def narrowed(members: Mapping[str, Any], repository: str) -> bool:
    """Whether an answer, where it says for which repositories its token is, says this one only."""
    if members.get("repository_selection", "selected") != "selected":
        return False
    listed = members.get("repositories")
    if listed is None:
        return True
    names = [each.get("name") for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return len(names) == 1 and isinstance(names[0], str) and names[0].lower() == repository


def git_basic(raw: bytes) -> bytes:
    """Git over HTTPS takes a token only as a password (docs.github.com, authenticating as an installation)."""
    return b"Basic " + base64.b64encode(b"x-access-token:" + field_value(raw))
