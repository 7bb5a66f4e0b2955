"""Tokens of GitLab, which make their own successors and end with that.

docs.gitlab.com/api/personal_access_tokens, project_access_tokens, group_access_tokens: `POST …/self/rotate` with the scope `api` or
`self_rotate`. To ask with a token that was rotated already ends all that came of it (automatic reuse detection), so it is first
asked whether it still counts, which any token may.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetched, RevokingFetch
from gateway.core.secret import Secret
from gateway.credentials.answer import object_of
from gateway.credentials.rotation.minter import NotDone
from gateway.credentials.rotation.model import DAY, GitLab
from gateway.credentials.rotation.record import Held

SECONDS: Final = 10.0
MAX_ANSWER: Final = 64 * 1024
TOKEN: Final = re.compile(r"[!-~]{8,1024}", re.ASCII)
ENDED: Final = (
    "the token in force does not count at GitLab any more: make one there and store it in its place, "
    "`gateway secrets seal … --database`"
)
WHY: Final = {
    400: "400: is the new token's end later than GitLab allows?",
    401: "401: the token does not count",
    403: "403: the token needs the scope `api` or `self_rotate`",
    404: "404: is `api`, `project` or `group` another?",
    405: "405: it is no personal, project or group access token",
}


class SelfRotation:
    """Lets a token make the next one. Implements `minter.Minter`."""

    replaces = True
    patience = 2 * SECONDS
    cut_off = "a gateway ended while GitLab was asked for a token: the old one may have ended, and then nobody holds the new one"

    def __init__(self, model: GitLab, every: float, fetch: RevokingFetch, now: Callable[[], float]) -> None:
        self._api = model.api.rstrip("/")
        self._path = _path(model)
        self._lifetime = model.lifetime if model.lifetime is not None else every + 30 * DAY
        self._dial = model.dial
        self._fetch = fetch
        self._now = now

    async def mint(self, old: Held) -> Held:
        if wrong := await self.ask(old.secret):
            raise NotDone(wrong)
        end = datetime.fromtimestamp(self._now() + self._lifetime, UTC).date().isoformat()
        try:
            answer = await self._fetch.post(
                self._api + self._path,
                body=json.dumps({"expires_at": end}).encode("ascii"),
                content_type="application/json",
                headers=_shown(old.secret),
                limit=MAX_ANSWER,
                timeout=SECONDS,
                allow_plaintext=self._dial.allow_plaintext,
                allow_private=self._dial.allow_private,
                ca=self._ca,
            )
        except DependencyDown as error:
            raise NotDone(f"GitLab gave no complete answer, the old token may have ended: {error.detail}") from None
        return _made(answer)

    async def revoke(self, gone: Held, current: Secret | None) -> None:
        try:
            answer = await self._fetch.delete(
                self._api + "/personal_access_tokens/self",
                headers=_shown(gone.secret),
                limit=MAX_ANSWER,
                timeout=SECONDS,
                allow_plaintext=self._dial.allow_plaintext,
                allow_private=self._dial.allow_private,
                ca=self._ca,
            )
        except DependencyDown as error:
            raise NotDone(f"GitLab cannot be asked: {error.detail}") from None
        if answer.status not in {204, 401}:
            raise NotDone(f"GitLab answered {answer.status} to the revocation of a token")

    async def ask(self, secret: Secret | None) -> str:
        """Whether a token counts. Implements `trial.Ask`."""
        try:
            answer = await self._fetch.get(
                self._api + "/personal_access_tokens/self",
                limit=MAX_ANSWER,
                timeout=SECONDS,
                allow_plaintext=self._dial.allow_plaintext,
                allow_private=self._dial.allow_private,
                ca=self._ca,
                headers={} if secret is None else _shown(secret),
            )
        except (DependencyDown, NotDone) as error:
            return f"GitLab cannot be asked: {getattr(error, 'detail', error)}"
        if answer.status == 200:
            return ""
        return ENDED if answer.status == 401 else f"GitLab answered {answer.status} to a question about the token"

    @property
    def _ca(self) -> str | None:
        return str(self._dial.ca) if self._dial.ca is not None else None


def _path(model: GitLab) -> str:
    if model.project is not None:
        return f"/projects/{model.project}/access_tokens/self/rotate"
    if model.group is not None:
        return f"/groups/{model.group}/access_tokens/self/rotate"
    return "/personal_access_tokens/self/rotate"


def _shown(secret: Secret) -> dict[str, str]:
    token = secret.reveal().decode("latin-1")
    if TOKEN.fullmatch(token) is None:
        raise NotDone("the secret is no token of GitLab's")
    return {"private-token": token}


def _made(answer: Fetched) -> Held:
    """The new token. Raises NotDone: for a status of its own nothing was made, for anything else nobody knows."""
    if answer.status in WHY:
        raise NotDone(f"GitLab answered {WHY[answer.status]}")
    found = object_of(answer.body) if answer.status in {200, 201} else None
    token, id = (found or {}).get("token"), (found or {}).get("id")
    if not isinstance(token, str) or TOKEN.fullmatch(token) is None:
        raise NotDone(f"GitLab answered {answer.status} without a token, and the old one may have ended")
    return Held(Secret(token.encode("ascii")), str(id) if isinstance(id, int) and not isinstance(id, bool) else None)
