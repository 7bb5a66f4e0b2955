"""git, through the gateway, to git's own `http-backend`, which takes a user and a password that only the gateway knows."""

import asyncio
import base64
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

from tests.house import House, house, read_head

PASSWORD = "ghs_canaryOfTheForge000000000000000"
BASIC = "Basic " + base64.b64encode(f"x-access-token:{PASSWORD}".encode()).decode()
POLICY = """
apiVersion: gateway/v1
kind: Policy
name: git
routes: ["git"]
rules:
  - {name: own, allow: any, permission: "things:use", when: "subject.claims.org == resource.params.owner"}
"""
LARGE = 3 * 1024 * 1024
TAGS = 60


@dataclass
class Forge:
    """A web server that does nothing but run `git http-backend` for who has the password (RFC 3875)."""

    folder: Path
    port: int = 0
    heads: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (head := await read_head(reader)) is not None:
                await self.answer(*head, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer(
        self, line: str, fields: list[tuple[str, str]], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        headers = {name.lower(): value for name, value in fields}
        self.heads.append((line, headers))
        body = await whole(reader, headers)
        if headers.get("authorization") != BASIC:
            writer.write(b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="forge"\r\nContent-Length: 0\r\n\r\n')
            return
        said, _, content = (await self.run(line, headers, body)).partition(b"\r\n\r\n")
        lines = said.decode().split("\r\n")
        status = next((each[8:] for each in lines if each.startswith("Status: ")), "200 OK")
        kept = "".join(f"{each}\r\n" for each in lines if not each.startswith("Status: "))
        writer.write(f"HTTP/1.1 {status}\r\n{kept}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        await writer.drain()

    async def run(self, line: str, headers: dict[str, str], body: bytes) -> bytes:
        method, target, _ = line.split(" ")
        path, _, query = target.partition("?")
        environ = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_USER": "x-access-token",
            "CONTENT_TYPE": headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
            "GIT_PROTOCOL": headers.get("git-protocol", ""),
        }
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec("git", "http-backend", env=environ, stdin=pipe, stdout=pipe)
        out, _ = await process.communicate(body)
        assert process.returncode == 0
        return out


async def whole(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = bytearray()
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return bytes(body)


async def git(
    *arguments: str | Path,
    folder: Path,
    fails: bool = False,
    stdin: IO[bytes] | None = None,
    environ: Mapping[str, str] | None = None,
) -> str:
    """What git printed, of both kinds."""
    quiet = {"HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    names = {f"GIT_{role}_{kind}": "t@example.com" for role in ("AUTHOR", "COMMITTER") for kind in ("NAME", "EMAIL")}
    environment = {"PATH": os.environ["PATH"], **quiet, **names, **(environ or {})}
    output = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "git", *arguments, cwd=folder, env=environment, stdin=stdin, stdout=output, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode != 0) is fails, out.decode()
    return out.decode()


def history(large: bytes) -> bytes:
    """One large file, and so many tags that whoever asks for all of them compresses what it asks."""
    who = b"t <t@example.com> 1790000000 +0000"
    first = b"commit refs/heads/main\ncommitter %b\ndata 0\nM 644 inline large\ndata %d\n%b\n" % (who, len(large), large)
    tags = [b"commit refs/tags/t%d\ncommitter %b\ndata 0\nfrom refs/heads/main\n" % (number, who) for number in range(TAGS)]
    return first + b"".join(tag + b"M 644 inline n\ndata %d\n%b\n" % (len(b"%d" % n), b"%d" % n) for n, tag in enumerate(tags))


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[House, Forge]]:
    """The gateway in front of a forge with one empty repository, which takes pushes."""
    assert shutil.which("git"), "git is missing"
    forge = Forge(folder / "forge")
    (forge.folder / "octocat").mkdir(parents=True)
    await git("init", "-q", "--bare", "-b", "main", "octocat/hello.git", folder=forge.folder)
    await git("-C", "octocat/hello.git", "config", "http.receivepack", "true", folder=forge.folder)
    server = await asyncio.start_server(forge.serve, "127.0.0.1", 0)
    forge.port = server.sockets[0].getsockname()[1]
    over: dict[str, Any] = {
        "credentials": {"forge": {"inject": "basic", "username": "x-access-token", "password": {"env": "FORGE"}}},
        "upstreams": {
            "forge": {
                "url": f"http://127.0.0.1:{forge.port}",
                "allow_plaintext": True,
                "allow_private": True,
                "credential": "forge",
            }
        },
        "routes": [
            {
                "name": "git",
                "match": {"path": "/git/{owner}/{repo}/**", "methods": ["GET", "POST"]},
                "rewrite": {"strip_prefix": "/git"},
                "upstream": "forge",
                "authenticate": ["jwt.corp"],
            }
        ],
    }
    async with server, house(folder, policy=POLICY, environ={"FORGE": PASSWORD}, **over) as gateway:
        yield gateway, forge


def access(gateway: House, **claims: Any) -> tuple[str, dict[str, str]]:
    """The repository's URL, and the settings under which git presents a token of the gateway's."""
    host, port = gateway.address()
    said = {
        "http.extraHeader": f"Authorization: Bearer {gateway.keys.token(**claims)}",
        "http.postBuffer": "262144",
        "protocol.version": "0",
    }
    environ = {"GIT_CONFIG_COUNT": str(len(said))}
    for number, (key, value) in enumerate(said.items()):
        environ |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return f"http://{host}:{port}/git/octocat/hello.git", environ


async def test_git_pushes_and_clones_with_a_token_of_the_gateway(tmp_path: Path) -> None:
    async with running(tmp_path) as (gateway, forge):
        url, environ = access(gateway, org="octocat")
        work, again = tmp_path / "work", tmp_path / "again"
        work.mkdir()
        large = os.urandom(LARGE)
        await git("init", "-q", "-b", "main", folder=work)
        (tmp_path / "history").write_bytes(history(large))
        with (tmp_path / "history").open("rb") as stream:
            await git("fast-import", "--quiet", folder=work, stdin=stream)
        await git("push", "-q", "--mirror", url, folder=work, environ=environ)
        await git("clone", "-q", url, str(again), folder=tmp_path, environ=environ)
        assert (again / "large").read_bytes() == large
        await git("commit", "-q", "--allow-empty", "-m", "theirs", folder=again)
        await git("push", "-q", "origin", "main", folder=again, environ=environ)
        assert PASSWORD not in str(await gateway.events())
    sent = [headers for _, headers in forge.heads]
    assert {headers["authorization"] for headers in sent} == {BASIC}
    assert any(headers.get("transfer-encoding") == "chunked" for headers in sent)
    assert any(headers.get("content-encoding") == "gzip" for headers in sent)


async def test_git_gets_no_repository_that_the_policy_denies_and_no_password(tmp_path: Path) -> None:
    async with running(tmp_path) as (gateway, forge):
        url, environ = access(gateway, org="somebody")
        assert "403" in await git("ls-remote", url, folder=tmp_path, fails=True, environ=environ)
        assert forge.heads == []


@pytest.mark.parametrize("expects", ["100-continue", ""], ids=["expecting", "at once"])
async def test_an_upload_that_waits_for_leave_gets_it(tmp_path: Path, expects: str) -> None:
    """As git's library does for large packs: the head first, the body when it may come."""
    async with running(tmp_path) as (gateway, forge):
        reader, writer = await asyncio.open_connection(*gateway.address())
        head = f"POST /git/octocat/hello.git/git-upload-pack HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {gateway.keys.token(org='octocat')}\r\n"
        kind = "Content-Type: application/x-git-upload-pack-request\r\nTransfer-Encoding: chunked\r\n"
        writer.write((head + kind + (f"Expect: {expects}\r\n" if expects else "") + "\r\n").encode())
        async with asyncio.timeout(60):
            if expects:
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            writer.write(b"4\r\n0000\r\n0\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()
        [(line, headers)] = forge.heads
        assert (line, headers["authorization"]) == ("POST /octocat/hello.git/git-upload-pack HTTP/1.1", BASIC)
