"""Secrets that rotate: where they must lie, and which upstream tells whether a new one counts."""

from collections.abc import Iterator
from typing import Any

from gateway.core.errors import Problem
from gateway.settings.rules.draft import Draft
from gateway.settings.rules.signing import uses


def check(draft: Draft) -> Iterator[Problem]:
    known: dict[str, str] = {}
    for name in draft.names("credentials"):
        rotate = draft.value("credentials", name, "rotate")
        if not isinstance(rotate, dict):
            continue
        secret = sealed_name(draft.value("credentials", name))
        yield from _home(draft, name, secret)
        yield from _minted(draft, name, rotate)
        yield from _upstream(draft, name, rotate)
        if secret is not None and secret in known:
            wrong = f"credential '{known[secret]}' rotates '{secret}' already"
            yield draft.error(("credentials", name, "rotate"), wrong, "say `rotate` at one of them", key=True)
        elif secret is not None:
            known[secret] = name


def sealed_name(credential: Any) -> str | None:
    """The name of the sealed value that a credential has, None where its secret is elsewhere."""
    if not isinstance(credential, dict):
        return None
    found = credential.get({"basic": "password", "sigv4": "keys"}.get(str(credential.get("inject")), "secret"))
    name = found.get("sealed") if isinstance(found, dict) else None
    return name if isinstance(name, str) else None


def _home(draft: Draft, name: str, secret: str | None) -> Iterator[Problem]:
    path = ("credentials", name, "rotate")
    if secret is None and draft.value("credentials", name, "inject") == "sigv4":
        hint = 'seal {"AccessKeyId": …, "SecretAccessKey": …} into the database, and say `keys: {sealed: NAME}`'
        yield draft.error(path, "only keys of the database rotate, both in one document: they are switched as one", hint, key=True)
    elif secret is None or not draft.value("database"):
        hint = "`gateway secrets seal NAME --database`, and refer to it as {sealed: NAME}"
        yield draft.error(path, "only a secret of the database rotates: a new one is written there", hint, key=True)
    elif secret in draft.names("sealed"):
        hint = f"take it out of there: `gateway secrets seal {secret} --database`"
        yield draft.error(path, f"'{secret}' lies in `sealed:`, which the gateway does not write", hint, key=True)


def _minted(draft: Draft, name: str, rotate: dict[str, Any]) -> Iterator[Problem]:
    """Whether what mints fits the kind of credential."""
    path, credential = ("credentials", name, "rotate"), draft.value("credentials", name)
    kind, is_aws = draft.value(*path, "provider", "kind"), credential.get("inject") == "sigv4"
    if (kind == "aws_iam" and not is_aws) or (kind == "gitlab" and (is_aws or credential.get("inject") == "hmac")):
        wrong = f"`{kind}` mints nothing that `inject: {credential.get('inject')}` could use"
        yield draft.error((*path, "provider"), wrong, "aws_iam is for sigv4, gitlab for tokens that are sent as they are", key=True)
    if is_aws and credential.get("assume_role") and (kind is None or rotate.get("verify")):
        wrong = "with `assume_role` the keys are not shown to the upstream, so it cannot tell whether new ones count"
        yield draft.error(path, wrong, "`provider: {kind: aws_iam}` without `verify`: AWS is asked itself", key=True)


def _upstream(draft: Draft, name: str, rotate: dict[str, Any]) -> Iterator[Problem]:
    verify = rotate.get("verify")
    if not isinstance(verify, dict):
        return
    path, chosen = ("credentials", name, "rotate", "verify"), verify.get("upstream")
    sent_to = list(dict.fromkeys(upstream for _, credential, upstream in uses(draft) if credential == name))
    if chosen is None and len(sent_to) != 1:
        wrong = "this credential goes to several upstreams" if sent_to else "this credential goes to no upstream"
        yield draft.error(path, wrong, "name the one to ask: `upstream: NAME`", key=True)
    elif chosen is not None and chosen not in sent_to:
        yield draft.error((*path, "upstream"), f"this credential does not go to upstream '{chosen}'", ", ".join(sent_to))
    asked = chosen if chosen is not None else sent_to[0] if len(sent_to) == 1 else None
    if isinstance(asked, str) and draft.value("upstreams", asked, "tls", "client_certificate"):
        wrong = f"upstream '{asked}' wants a client certificate, with which new secrets cannot be tried"
        yield draft.error(path, wrong, "replace this secret by hand", key=True)
