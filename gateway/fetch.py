"""The control plane's HTTP client: key sets, discovery documents, token endpoints. The only file that knows httpx.

Each request is its own connection, to an address that was vetted a moment before: the name is resolved once, and what was
judged is what is dialled, while TLS keeps checking the name. Nothing is followed, decompressed or read beyond its cap.
"""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, final

from gateway.config.regular import same, same_if_any
from gateway.core.addresses import is_metadata, is_public
from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetched

if TYPE_CHECKING:
    import httpx

CONNECTIONS: Final = 16
CONNECT_SECONDS: Final = 5.0
ADDRESSES: Final = 4
"""How many of a name's addresses are tried, one after the other."""
PORTS: Final = {"https": 443, "http": 80}
FIELD_NAME: Final = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
FIELD_VALUE: Final = re.compile(r"[!-~]([ !-~]*[!-~])?", re.ASCII)

Resolve = Callable[[str, int], Awaitable[list[str]]]
Trust = tuple[str | None, tuple[str, str] | None]
"""Whose certificates a client believes, and which one it shows: the files of both."""
Contexts = dict[Trust, tuple[tuple[int, ...], ssl.SSLContext]]


class Question(NamedTuple):
    """What is asked of a server: a method with its own header fields and body, and the most bytes of the answer."""

    method: str
    headers: Mapping[str, str]
    body: bytes | None
    limit: int


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, in the system's order. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@final
class HttpFetch:
    """Implements `core.ports.RevokingFetch`. httpx is imported when the first request is made."""

    def __init__(self, *, user_agent: str, resolve: Resolve = resolve, contexts: Contexts | None = None) -> None:
        """`contexts` are shared by clients that live one after the other: making one reads every authority of the system."""
        self._user_agent = user_agent
        self._contexts = contexts if contexts is not None else {}
        self._resolve = resolve
        self._clients: dict[Trust, tuple[tuple[int, ...], httpx.AsyncClient]] = {}
        self._slots = asyncio.Semaphore(CONNECTIONS)

    async def get(
        self,
        url: str,
        *,
        limit: int,
        timeout: float,
        allow_plaintext: bool = False,
        allow_private: bool = False,
        ca: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Fetched:
        """GET `url`, at most `limit` bytes in `timeout` seconds in all. A redirect is an answer like any other.

        `headers` may hold secrets: what no header field may carry is refused unnamed. Raises DependencyDown for everything that
        is not a complete answer; its detail names host and cause only.
        """
        question = Question("GET", _fields(url, headers or {}), None, limit)
        return await self._answered(url, question, (ca, None), timeout, allow_plaintext, allow_private)

    async def post(
        self,
        url: str,
        *,
        body: bytes,
        content_type: str,
        headers: Mapping[str, str] | None = None,
        limit: int,
        timeout: float,
        allow_plaintext: bool = False,
        allow_private: bool = False,
        ca: str | None = None,
        identity: tuple[str, str] | None = None,
    ) -> Fetched:
        """POST `body` under the same guard.

        `identity` are the files of a certificate chain and its key, shown to a server that asks for one (RFC 8705 2).
        Raises DependencyDown as `get` does. Only where no connection came about is another address tried: nothing is sent twice.
        """
        question = Question("POST", _fields(url, {**(headers or {}), "content-type": content_type}), body, limit)
        return await self._answered(url, question, (ca, identity), timeout, allow_plaintext, allow_private)

    async def delete(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        limit: int,
        timeout: float,
        allow_plaintext: bool = False,
        allow_private: bool = False,
        ca: str | None = None,
        body: bytes | None = None,
    ) -> Fetched:
        """DELETE `url` under the same guard. Raises DependencyDown as `get` does."""
        question = Question("DELETE", _fields(url, headers), body, limit)
        return await self._answered(url, question, (ca, None), timeout, allow_plaintext, allow_private)

    async def _answered(
        self, url: str, question: Question, trust: Trust, timeout: float, allow_plaintext: bool, allow_private: bool
    ) -> Fetched:
        import httpx

        try:
            target = _target(httpx.URL(url), allow_plaintext)
            async with asyncio.timeout(timeout), self._slots:
                addresses = await self._vetted(target, allow_private)
                return await self._first(await self._client(trust), target, addresses, question)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise DependencyDown(f"{_host(url)}: {type(error).__name__}") from error
        except TimeoutError as error:
            raise DependencyDown(f"{_host(url)}: no complete answer within {timeout:g} s") from error
        except OSError as error:
            raise DependencyDown(f"{_host(url)}: {error.strerror or type(error).__name__}") from error

    async def close(self) -> None:
        """Close what is left open; requests under way fail."""
        clients, self._clients = self._clients, {}
        for _, client in clients.values():
            await client.aclose()

    async def _vetted(self, target: "httpx.URL", allow_private: bool) -> list[str]:
        host = target.raw_host.decode("ascii")
        addresses = await self._resolve(host, target.port or PORTS[target.scheme])
        dialled = [address for address in addresses if _may_dial(address, allow_private)][:ADDRESSES]
        if not dialled:
            hint = "" if allow_private else "; `allow_private: true` allows private ones"
            raise DependencyDown(f"{host}: no address that may be dialled{hint}")
        return dialled

    async def _first(self, client: "httpx.AsyncClient", target: "httpx.URL", addresses: list[str], question: Question) -> Fetched:
        """The answer of the first address that takes the connection."""
        import httpx

        for address in addresses[:-1]:
            try:
                return await self._ask(client, target, address, question)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._ask(client, target, addresses[-1], question)

    async def _ask(self, client: "httpx.AsyncClient", target: "httpx.URL", address: str, question: Question) -> Fetched:
        """One exchange with one address. The certificate must be the name's, not the address's."""
        headers = {"user-agent": self._user_agent, "accept": "application/json", **question.headers}
        headers |= {"host": target.netloc.decode("ascii"), "accept-encoding": "identity", "connection": "close"}
        name = target.raw_host.decode("ascii")
        url = target.copy_with(host=address.partition("%")[0])
        request = client.build_request(
            question.method, url, headers=headers, content=question.body, extensions={"sni_hostname": name}
        )
        request.extensions["timeout"] = {"connect": CONNECT_SECONDS, "read": None, "write": None, "pool": None}
        answer = await client.send(request, stream=True)
        try:
            return Fetched(answer.status_code, dict(answer.headers), await _read(answer, name, question.limit))
        finally:
            await answer.aclose()

    async def _client(self, trust: Trust) -> "httpx.AsyncClient":
        """The client that trusts and shows just this; a replaced file makes a new one."""
        version = await asyncio.to_thread(_version, trust)
        known = self._clients.get(trust)
        if known is not None and known[0] == version:
            return known[1]
        if trust not in self._contexts or self._contexts[trust][0] != version:
            self._contexts[trust] = version, await asyncio.to_thread(_context, trust)
        client = self._clients[trust] = (version, _build(self._contexts[trust][1]))
        return client[1]


def _context(trust: Trust) -> ssl.SSLContext:
    ca, identity = trust
    with same_if_any(ca) as authorities:
        context = ssl.create_default_context(cafile=authorities)
    if identity is not None:
        with same(identity[0]) as certificate, same(identity[1]) as key:
            context.load_cert_chain(certificate, key, password=_no_password)
    return context


def _no_password() -> str:
    """An encrypted key is an error, not a question asked on the terminal."""
    return ""


def _version(trust: Trust) -> tuple[int, ...]:
    ca, identity = trust
    return tuple(Path(path).stat().st_mtime_ns for path in (ca, *(identity or ())) if path is not None)


def _build(context: ssl.SSLContext) -> "httpx.AsyncClient":
    # A connection to an address is never reused: the next request to it may be for another name.
    import httpx

    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=0)
    # Nor are cookies kept: they would be sent to whoever else is at that address, and there is no end of them.
    none = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    return httpx.AsyncClient(verify=context, limits=limits, trust_env=False, follow_redirects=False, http2=False, cookies=none)


def _target(url: "httpx.URL", allow_plaintext: bool) -> "httpx.URL":
    if url.scheme != "https" and not (url.scheme == "http" and allow_plaintext):
        raise DependencyDown(f"{url.host}: the scheme must be https")
    if not url.host or url.userinfo:
        raise DependencyDown(f"{url.host}: a URL with a host and without userinfo is needed")
    return url.copy_with(fragment=None)


def _fields(url: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Header fields fit to be sent. The library's own complaint would quote the value."""
    if not all(FIELD_NAME.fullmatch(name) and FIELD_VALUE.fullmatch(value) for name, value in headers.items()):
        raise DependencyDown(f"{_host(url)}: a header field of the request holds characters that none may carry")
    return {name.lower(): value for name, value in headers.items()}


def _host(url: str) -> str:
    """What may be told of a URL that could not be fetched."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2][:200]


def _may_dial(address: str, allow_private: bool) -> bool:
    if is_metadata(address):
        return False
    return allow_private or is_public(address)


async def _read(answer: "httpx.Response", host: str, limit: int) -> bytes:
    """The body as it stands on the wire, at most `limit` bytes."""
    if answer.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise DependencyDown(f"{host}: a compressed answer was not asked for")
    announced = answer.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise DependencyDown(f"{host}: the answer is larger than {limit} bytes")
    body = bytearray()
    async for chunk in answer.aiter_raw(16384):
        body += chunk
        if len(body) > limit:
            raise DependencyDown(f"{host}: the answer is larger than {limit} bytes")
    return bytes(body)
