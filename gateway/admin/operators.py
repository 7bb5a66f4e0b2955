"""What operators do over the admin listener: log in and out, look after their own accounts, and after those of others."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, final

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.admin.access import COOKIE, DEVICE, Actor, presented
from gateway.authn.login.pending import Held
from gateway.core.errors import BadRequest, GatewayError
from gateway.core.errors import NoRoute as NoRouteError
from gateway.core.message import Field
from gateway.core.reason import Reason
from gateway.operators.account import ROLES, Account, Role, canonical
from gateway.operators.books import Books, Unknown
from gateway.operators.foreign import Foreign
from gateway.operators.office import DEVICE_SECONDS, Attempt, Entered, Office
from gateway.operators.own import Own
from gateway.operators.passwords import Unfit
from gateway.operators.sessions import FOREIGN
from gateway.store.sql.rows import Conflict

MOST_BODY: Final = 8 * 1024
OF_OTHERS: Final = ("disabled", "reset")
Answer = Callable[[Request], Awaitable[Response]]


class Telling(Protocol):
    """Of the running gateway, its audit trail."""

    def tell(self, event: str, /, **fields: Any) -> None: ...


@final
class OperatorAnswers:
    """One method an endpoint."""

    def __init__(self, operations: Telling) -> None:
        self._operations = operations

    def table(self) -> dict[tuple[str, str], Answer]:
        """What is answered where."""
        table: dict[tuple[str, str], Answer] = {
            ("POST", "/operators/login"): self.login,
            ("POST", "/operators/bootstrap"): self.bootstrap,
            ("GET", "/operators/oidc"): self.begin,
            ("GET", "/operators/oidc/callback"): self.come_back,
            ("GET", "/operators/me"): self.me,
            ("POST", "/operators/logout"): self.logout,
            ("POST", "/operators/password"): self.password,
            ("POST", "/operators/totp"): self.offer_totp,
            ("POST", "/operators/totp/confirm"): self.take_totp,
            ("DELETE", "/operators/totp"): self.drop_totp,
            ("POST", "/operators/recovery"): self.recovery,
            ("GET", "/operators"): self.listed,
            ("POST", "/operators"): self.create,
            ("POST", "/operators/{name}/disable"): self.disable,
            ("POST", "/operators/{name}/enable"): self.enable,
            ("POST", "/operators/{name}/role"): self.role,
            ("POST", "/operators/{name}/reset"): self.reset,
        }
        return {place: judged(answer) for place, answer in table.items()}

    # In and out

    async def login(self, request: Request) -> Response:
        """{name, password, code}: `code` where the account has a second factor. Ends the session that was presented."""
        office, given = office_of(request), await body(request, "name", "password", maybe=("code",))
        devices = presented(request.headers, DEVICE)
        device = devices[0] if len(devices) == 1 else ""
        attempt = Attempt(given["name"], given["password"], given.get("code", ""), client_of(request), device)
        before = presented(request.headers, COOKIE)[:3]
        entered = await office.login(attempt)
        office.forget(before)
        return opened(office, entered)

    async def bootstrap(self, request: Request) -> Response:
        """{token, name, password}: the first account, for the token that `gateway operators bootstrap` printed."""
        office, given = office_of(request), await body(request, "token", "name", "password")
        entered = await office.bootstrap(given["token"], given["name"], given["password"], client_of(request))
        return opened(office, entered, 201)

    async def begin(self, request: Request) -> Response:
        """Sends the browser to the provider."""
        location, kept = await foreign_of(request).begin(sent(request), client_of(request))
        return with_fields(Response(status_code=303, headers={"Location": location}), *kept)

    async def come_back(self, request: Request) -> Response:
        """Back from the provider: a new session, whatever was presented. The state's cookie counts once."""
        office, query = office_of(request), request.query_params
        given = {name: query.getlist(name) for name in query}
        foreign = foreign_of(request)
        clear = foreign.pending.clear(given)
        try:
            value, session = await foreign.complete(given, sent(request), client_of(request))
        except GatewayError as error:
            error.headers = (*error.headers, *clear)
            raise
        office.forget(presented(request.headers, COOKIE)[:3])
        cookie = COOKIE.set(value, int(min(office.model.absolute, foreign.absolute)))
        return with_fields(JSONResponse(shown(Actor(session.name, session.role, session))), cookie, *clear)

    async def me(self, request: Request) -> Response:
        """Whose session this is, and the token that its writes need."""
        actor: Actor = request.state.actor
        return JSONResponse(shown(actor))

    async def logout(self, request: Request) -> Response:
        """The session ends."""
        actor: Actor = request.state.actor
        if actor.session is not None:
            office_of(request).leave(actor.session, client_of(request))
        return with_fields(Response(status_code=204), COOKIE.clear())

    # One's own account

    async def password(self, request: Request) -> Response:
        """{old, new}: another password; all sessions end, this one goes on."""
        given = await body(request, "old", "new")
        return opened(office_of(request), await own(request).change_password(given["old"], given["new"]))

    async def offer_totp(self, request: Request) -> Response:
        """{password, code}: a seed for an authenticator, shown once; `code` where there is a second factor already."""
        given = await body(request, "password", maybe=("code",))
        return JSONResponse(await own(request).offer_totp(given["password"], given.get("code", "")))

    async def take_totp(self, request: Request) -> Response:
        """{code}: the seed counts; recovery codes, shown once."""
        given = await body(request, "code")
        entered, codes = await own(request).take_totp(given["code"])
        return opened(office_of(request), entered, recovery_codes=codes)

    async def drop_totp(self, request: Request) -> Response:
        """{password, code}: no second factor any more."""
        given = await body(request, "password", "code")
        return opened(office_of(request), await own(request).drop_totp(given["password"], given["code"]))

    async def recovery(self, request: Request) -> Response:
        """{password, code}: new recovery codes, shown once."""
        given = await body(request, "password", "code")
        return JSONResponse({"recovery_codes": await own(request).renew_recovery(given["password"], given["code"])})

    # The accounts of others

    async def listed(self, request: Request) -> Response:
        """All accounts, without hashes."""
        async with office_of(request).roll() as roll:
            found, altered = await roll.every()
        return JSONResponse({"operators": [held.account.shown() for held in found], "refused": altered})

    async def create(self, request: Request) -> Response:
        """{name, role, password}: an account, whose password is to be changed at its first login."""
        given = await body(request, "name", "role", "password")
        role, by = role_of(given["role"]), request.state.actor.name
        return await self._changed(
            request, "created", lambda books: books.create(given["name"], role, given["password"], by), status=201
        )

    async def disable(self, request: Request) -> Response:
        """It counts no more; its sessions end."""
        return await self._changed(request, "disabled", lambda books: books.disable(request.path_params["name"], disabled=True))

    async def enable(self, request: Request) -> Response:
        """It counts again."""
        return await self._changed(request, "enabled", lambda books: books.disable(request.path_params["name"], disabled=False))

    async def role(self, request: Request) -> Response:
        """{role}: viewer or operator; its sessions end."""
        role = role_of((await body(request, "role"))["role"])
        return await self._changed(request, "role", lambda books: books.grant(request.path_params["name"], role))

    async def reset(self, request: Request) -> Response:
        """{password, factors}: another password, to be changed; with `factors: remove` no second factor any more."""
        given = await body(request, "password", maybe=("factors",))
        name, factors = request.path_params["name"], given.get("factors") == "remove"
        return await self._changed(request, "reset", lambda books: books.reset(name, given["password"], factors=factors))

    async def _changed(
        self, request: Request, action: str, change: Callable[[Books], Awaitable[Account]], status: int = 200
    ) -> Response:
        if action in OF_OTHERS and canonical(request.path_params["name"]) == request.state.actor.name:
            raise Unfit("one's own account is disabled and reset by somebody else")
        async with office_of(request).books() as books:
            account = await change(books)
        told = {"operator": request.state.actor.name, "account": account.name, "role": account.role, "action": action}
        self._operations.tell("operator.account", client=client_of(request), **told)
        return JSONResponse(account.shown(), status)


def judged(answer: Answer) -> Answer:
    """An answer whose refusals say what to do; where no operators are configured there is nothing."""

    async def told(request: Request) -> Response:
        office_of(request)
        try:
            return await answer(request)
        except Unknown as error:
            raise NoRouteError("no such operator", reason=Reason.NOT_FOUND) from error
        except Conflict as error:
            raise refused("somebody else was faster, or it is there already: look again") from error
        except Unfit as error:
            raise refused(str(error)) from error

    return told


def refused(why: str) -> BadRequest:
    """What the one who is logged in may know of a refusal (RFC 9457 3.1.4)."""
    return BadRequest(why, reason=Reason.BODY_INVALID, members={"detail": why})


def office_of(request: Request) -> Office:
    """Raises NoRoute where no operators are configured."""
    office: Office | None = request.scope["gateway.access"].office
    if office is None:
        raise NoRouteError("no operators are configured")
    return office


def foreign_of(request: Request) -> Foreign:
    """Raises NoRoute where no provider is configured."""
    foreign = office_of(request).foreign
    if foreign is None:
        raise NoRouteError("no provider of operators is configured")
    return foreign


def own(request: Request) -> Own:
    """The account of who asks."""
    actor: Actor = request.state.actor
    if actor.session is None or actor.session.factor == FOREIGN:
        raise NoRouteError("no account here")
    return Own(office_of(request), actor.session, client_of(request))


def client_of(request: Request) -> str:
    """The peer's address, "" on a unix socket."""
    return request.client.host if request.client is not None else ""


def role_of(text: str) -> Role:
    """Raises Unfit."""
    for role in ROLES:
        if role == text:
            return role
    raise Unfit("a role is viewer or operator")


async def body(request: Request, *names: str, maybe: tuple[str, ...] = ()) -> dict[str, str]:
    """A JSON object of these texts. Raises BadRequest for what a form of another site could have sent, and for anything else."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadRequest("a JSON object", reason=Reason.MEDIA_TYPE)
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MOST_BODY:
            raise BadRequest("a JSON object of 8 KiB", reason=Reason.BODY_TOO_LARGE)
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest("no JSON") from error
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise refused("a JSON object of texts")
    if not set(names) <= found.keys() <= {*names, *maybe}:
        raise refused(f"a JSON object with {', '.join(names)}" + (f" and perhaps {', '.join(maybe)}" if maybe else ""))
    return found


def shown(actor: Actor) -> dict[str, Any]:
    """A session for its owner."""
    session = actor.session
    told: dict[str, Any] = {"operator": actor.name, "role": actor.role, "must_change": actor.limited}
    return told | ({"factor": session.factor, "csrf_token": session.csrf} if session is not None else {})


def sent(request: Request) -> Held:
    """The cookies that came along."""
    return lambda cookie: [value.encode("latin-1") for value in presented(request.headers, cookie)]


def opened(office: Office, entered: Entered, status: int = 200, **further: Any) -> Response:
    """The answer that opens a session."""
    session = entered.session
    told = shown(Actor(session.name, session.role, session, entered.limited)) | further
    return with_fields(
        JSONResponse(told, status),
        COOKIE.set(entered.value, int(office.model.absolute)),
        DEVICE.set(entered.device, DEVICE_SECONDS),
    )


def with_fields(response: Response, *fields: Field) -> Response:
    """The response with more fields, cookies among them."""
    response.raw_headers += fields
    return response
