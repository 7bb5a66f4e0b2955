"""What authenticates, as long as its configuration is the same, and the gates it makes for routes."""

import secrets as random
from collections.abc import Sequence
from functools import partial
from typing import Any, final

from gateway.authn.api_keys import KeyHolders, KeyRing, KeyStore
from gateway.authn.bound import Bound, check, proofs
from gateway.authn.claims import granted_for
from gateway.authn.dpop import DPOP
from gateway.authn.gate import Gate
from gateway.authn.hmac_signed import senders, signed
from gateway.authn.introspection import introspectors, opaque
from gateway.authn.issuers import Secrets, issuer_keys, key_file, refused, shared_keys
from gateway.authn.jwks import Keys, PublishedKeys
from gateway.authn.jwt import Verifier
from gateway.authn.login.logins import Backing, Logins, configured
from gateway.authn.login.presented import session_cookies
from gateway.authn.model import NAMED, CookieSource, JwtIssuer
from gateway.authn.model import Authentication as Model
from gateway.authn.mtls import Certificates
from gateway.authn.ocsp import responder
from gateway.authn.others import Others
from gateway.authn.own.verifier import SCHEME, Own, OwnVerifier
from gateway.authn.presented import Places
from gateway.authn.signatures.verifier import Verifiers
from gateway.authn.subjects import Subjects
from gateway.authn.tokens import Tokens, Verifying
from gateway.core.errors import ConfigError, Problem
from gateway.core.ports import Clock, Fetch, Grant, Metrics, Once
from gateway.core.principal import NOBODY


@final
class Authentication:
    """What lives long: key sets, the key file, secrets. Reusable across reloads while its configuration is the same."""

    def __init__(
        self,
        model: Model,
        fetch: Fetch,
        clock: Clock,
        metrics: Metrics,
        secrets: Secrets,
        once: Once,
        *,
        keys: KeyRing | None = None,
        backing: Backing | None = None,
        own: Own | None = None,
    ) -> None:
        """Reads files and judges secrets, fetches nothing. `keys` are API keys that somebody follows, else the file's; `backing`
        is for logins, `once` for proofs and signatures, `own` what is issued here. Raises ConfigError with every problem found."""
        self._model, self._clock, self._fingerprint_key = model, clock, random.token_bytes(32)
        self._published: dict[str, PublishedKeys] = {}
        self._verifiers: dict[str, Verifier] = {}
        self._introspectors = introspectors(model.introspection, secrets, fetch, clock, metrics)
        problems: list[Problem] = []
        for name, issuer in model.jwt.items():
            try:
                self._verifiers[name] = self._verifier(name, issuer, fetch, metrics, secrets)
            except ConfigError as error:
                problems += error.problems
        try:
            self._senders = senders(model.hmac, secrets, once, clock)
            self._responder = responder(model.mtls, fetch, clock, metrics)
            self._signing = Verifiers(model.signatures, secrets, fetch, once, clock, metrics)
            self._file: KeyStore | None = None if keys or not model.api_keys else key_file(model.api_keys, clock, metrics, secrets)
            self.logins: Logins | None = configured(model, backing, fetch, clock, metrics, secrets)
            self._proofs = None if model.dpop is None else proofs(model.dpop, secrets, once, clock)
        except ConfigError as error:
            problems += error.problems
        if problems:
            raise ConfigError(problems)
        self._store: KeyRing | None = keys or self._file
        self.own = None if own is None else own.following(self._store)
        self._places, self._unsigned = self._looked_at(self._signing.header), self._looked_at(())
        self._configured = frozenset({issuer.issuer for issuer in model.jwt.values()} | ({own.issuer} if own else set()))
        self._grant: Grant | None = None
        self._gates: dict[tuple[bool, tuple[str, ...], tuple[str, ...], str | None], Gate] = {}

    def _looked_at(self, signatures: Sequence[bytes]) -> Places:
        """Where credentials are looked for; in the fields of message signatures only by routes that take some: agents and proxies
        add theirs to any request."""
        model = self._model
        cookies = [*model.cookies, *(self.logins.session_cookie if self.logins is not None else ())]
        signing = [*(sender.header for sender in self._senders.values()), *signatures]
        return Places(model.api_keys.header if model.api_keys else None, cookies, signing)

    def gate(
        self, accepted: tuple[str, ...], *, anonymous: bool, grant: Grant, require: Sequence[str] = (), pinned: str | None = None
    ) -> Gate:
        """The way in of routes that accept any of `jwt.NAME`, `api_keys`, `mtls` and the like, or of anonymous ones. `require`
        names the bindings, one of which a token must have. With `pinned`, only tokens whose `aud` names that resource.

        Routes that accept the same alike, under the same grant, share a gate and what it remembers. Raises ConfigError."""
        if self._grant is not grant:
            self._grant, self._gates = grant, {}
        if anonymous and (accepted or require):
            raise refused("a route is anonymous or accepts credentials, not both")
        check(require, accepted, dpop=self._proofs is not None)
        wanted = anonymous, tuple(sorted(set(accepted))), tuple(sorted(set(require))), pinned
        if wanted not in self._gates:
            narrowed = grant if pinned is None else partial(granted_for, grant, pinned)
            nobody = Gate(self._places, anonymous=grant(NOBODY)) if anonymous else None
            self._gates[wanted] = nobody or self._guarded(wanted[1], wanted[2], narrowed, pinned)
        return self._gates[wanted]

    @property
    def subjects(self) -> Subjects:
        """Who stands behind what is presented for a token of ours."""
        own = None if self.own is None else self.own.verifier(None)
        return Subjects(own, self._verifiers, self._introspectors, self._store, self._places.key_header, self._proofs)

    def credential_headers(self) -> frozenset[bytes]:
        """Every header that a client's credential may be carried in, lower case: exactly these are not passed upstream."""
        return self._places.headers | {DPOP}

    def credential_cookies(self) -> frozenset[bytes]:
        """Every cookie that a client's credential may be carried in, names as configured."""
        return self._places.cookies if self.logins is None else self._places.cookies | self.logins.cookies

    async def start(self) -> None:
        """Begin to keep keys fresh. Waits for nothing: an issuer that is down does not keep the gateway from starting."""
        for keys in self._published.values():
            keys.start()
        for each in (self._file, self.logins, self._signing):
            if each is not None:
                each.start()

    async def close(self) -> None:
        """End all background work."""
        for introspector in self._introspectors.values():
            await introspector.close()
        for keys in self._published.values():
            await keys.close()
        for each in (self._file, self.logins, self._signing, self._responder):
            if each is not None:
                await each.close()

    def status(self) -> dict[str, Any]:
        """For the operators' page: each issuer's key set, and the key file."""
        status: dict[str, Any] = {f"jwt.{name}": keys.status() for name, keys in self._published.items()} | self._signing.status()
        if self._store is not None:
            status["api_keys"] = self._store.status()
        return status if self.logins is None else status | self.logins.status()

    def _verifier(self, name: str, issuer: JwtIssuer, fetch: Fetch, metrics: Metrics, secrets: Secrets) -> Verifier:
        keys: Keys
        if issuer.jwks is not None:
            keys = self._published[name] = issuer_keys(name, issuer, issuer.jwks, fetch, self._clock, metrics, secrets)
        else:
            keys = shared_keys(name, issuer, secrets)
        return Verifier(name, issuer, keys, self._clock, self._fingerprint_key)

    def _guarded(self, accepted: Sequence[str], require: Sequence[str], grant: Grant, pinned: str | None) -> Gate:
        self._check_configured(accepted)
        mtls, store = self._model.mtls if "mtls" in accepted else None, self._store
        issuers = [name.removeprefix("jwt.") for name in accepted if name.startswith("jwt.")]
        own = self.own.verifier(pinned or self.own.audience) if self.own is not None and SCHEME in accepted else None
        cookies = {cookie: self._tokens(issuers, CookieSource(cookie=cookie.decode()), grant) for cookie in self._places.cookies}
        signing = self._signing.accepted(accepted, grant, self._clock)
        return Gate(
            self._places if signing else self._unsigned,
            bound=Bound(self._proofs, require, None if self.own is None else self.own.tally),
            key_prefix=store.prefix if store is not None else None,
            bearer=self._tokens(issuers, "bearer", grant, own),
            opaque=opaque(self._introspectors, accepted, grant),
            cookies={cookie: tokens for cookie, tokens in cookies.items() if tokens is not None and not require},
            holders=KeyHolders(store, grant) if store is not None and "api_keys" in accepted else None,
            certificates=None
            if mtls is None
            else Certificates(mtls.identity, grant, self._clock, mtls.trust_domains, self._responder),
            sessions=session_cookies(self.logins, accepted, grant),
            signed={**signed(self._senders, accepted, grant, self._clock), **signing},
            others=Others(store, None if self.logins is None else self.logins.sessions),
        )

    def _tokens(
        self, names: Sequence[str], source: str | CookieSource, grant: Grant, own: OwnVerifier | None = None
    ) -> Tokens | None:
        """What decides tokens from one place; None when no accepted issuer's tokens come from there."""
        accepted: list[Verifying] = [self._verifiers[name] for name in names if source in self._model.jwt[name].from_]
        if own is not None:
            accepted.append(own)
        issuers = [verifier.issuer for verifier in accepted]
        if len(set(issuers)) < len(issuers):
            raise refused(f"accepts two entries of the same issuer from one place: {', '.join(sorted(names))}")
        return Tokens(accepted, self._configured, grant, self._clock) if accepted else None

    def _check_configured(self, accepted: Sequence[str]) -> None:
        known = {f"{kind}.{name}" for kind in NAMED for name in getattr(self._model, kind)}
        known |= {"api_keys"} if self._store is not None else set()
        known |= {"mtls"} if self._model.mtls is not None else set()
        known |= {SCHEME} if self.own is not None else set()
        unknown = sorted(set(accepted) - known)
        if unknown or not accepted:
            raise refused(f"{unknown[0]} is not configured under `authentication`" if unknown else "accepts no credential at all")
