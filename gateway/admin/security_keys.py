"""What operators do with their security keys over the admin listener. Logging in with one is `POST /operators/login`."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.admin.operators import Answer, body, judged, office_of, opened, own


def security_keys() -> dict[tuple[str, str], Answer]:
    """What is answered where."""
    table: dict[tuple[str, str], Answer] = {
        ("GET", "/operators/webauthn"): listed,
        ("POST", "/operators/webauthn"): offer,
        ("POST", "/operators/webauthn/confirm"): take,
        ("DELETE", "/operators/webauthn/{key}"): drop,
    }
    return {place: judged(answer) for place, answer in table.items()}


async def listed(request: Request) -> Response:
    """One's keys, by the names they were given."""
    return JSONResponse({"keys": await own(request).keys()})


async def offer(request: Request) -> Response:
    """{password, code}: options for `navigator.credentials.create()`; `code` where there is a second factor already."""
    given = await body(request, "password", maybe=("code",))
    return JSONResponse(await own(request).offer_key(given["password"], given.get("code", "")))


async def take(request: Request) -> Response:
    """{name, credential}: what the browser made of them, as JSON text. The key counts; recovery codes, where there were none."""
    given = await body(request, "name", "credential")
    entered, codes = await own(request).take_key(given["name"], given["credential"])
    return opened(office_of(request), entered, recovery_codes=codes)


async def drop(request: Request) -> Response:
    """{password, code}: the key counts no more."""
    given = await body(request, "password", "code")
    name = request.path_params["key"]
    return opened(office_of(request), await own(request).drop_key(name, given["password"], given["code"]))
