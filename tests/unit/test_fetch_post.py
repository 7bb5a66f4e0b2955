"""What the control plane's client posts: under the guard of what it gets, with secrets that no message repeats."""

import ssl
import traceback
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetched
from gateway.fetch import HttpFetch
from tests.minting import Mint, reply

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def folder(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    leaf = authority.issue_cert("gateway.test")
    leaf.private_key_pem.write_to_path(str(folder / "client.key"))
    (folder / "client.pem").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    return folder


async def local(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


async def post(url: str, folder: Path, body: bytes = b"a=b", resolve: Any = local, **more: Any) -> Fetched:
    client = HttpFetch(user_agent="gateway-test", resolve=resolve)
    options: dict[str, Any] = {
        "content_type": FORM,
        "limit": 1000,
        "timeout": 20.0,
        "allow_private": True,
        "ca": str(folder / "ca.pem"),
    } | more
    try:
        return await client.post(url, body=body, **options)
    finally:
        await client.close()


async def test_a_body_arrives_with_its_type_its_length_and_the_fields_it_was_given(authority: trustme.CA, folder: Path) -> None:
    async with Mint(authority, reply(b"{}", 201)) as mint:
        answer = await post(mint.url("/t?x=1"), folder, b"grant_type=a+b", headers={"Authorization": "Basic eA=="})
    asked = mint.asked[0]
    assert (answer.status, answer.body) == (201, b"{}")
    assert (asked.method, asked.target, asked.body) == ("POST", "/t?x=1", b"grant_type=a+b")
    assert asked.header("content-type") == FORM
    assert asked.header("content-length") == "14"
    assert asked.header("authorization") == "Basic eA=="
    assert asked.header("host") == f"mint.test:{mint.port}"
    assert asked.header("accept-encoding") == "identity"
    assert asked.header("accept") == "application/json"


async def test_what_is_given_cannot_replace_the_host_or_the_encoding_and_may_replace_what_is_accepted(
    authority: trustme.CA, folder: Path
) -> None:
    given = {"Host": "evil.test", "Accept-Encoding": "gzip", "Accept": "application/vnd.github+json", "Connection": "upgrade"}
    async with Mint(authority, reply(b"{}")) as mint:
        await post(mint.url(), folder, headers=given)
    asked = mint.asked[0]
    assert asked.header("host") == f"mint.test:{mint.port}"
    assert asked.header("accept-encoding") == "identity"
    assert asked.header("connection") == "close"
    assert asked.header("accept") == "application/vnd.github+json"


async def test_a_get_carries_further_fields_too(authority: trustme.CA, folder: Path) -> None:
    client = HttpFetch(user_agent="gateway-test", resolve=local)
    async with Mint(authority, reply(b"{}")) as mint:
        ca = str(folder / "ca.pem")
        await client.get(mint.url(), limit=10, timeout=20, allow_private=True, ca=ca, headers={"X-Vault-Token": "t"})
        await client.close()
    assert (mint.asked[0].method, mint.asked[0].header("x-vault-token")) == ("GET", "t")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirected_post_goes_nowhere_else(status: int, authority: trustme.CA, folder: Path) -> None:
    """Row 125: the body holds the client's secret."""
    async with Mint(authority, reply(b"{}")) as other, Mint(authority) as mint:
        mint.answer = reply(b"", status, f"Location: {other.url()}")
        assert (await post(mint.url(), folder)).status == status
    assert other.asked == []
    assert len(mint.asked) == 1


@pytest.mark.parametrize(
    "value", ["x\r\nX-Evil: canary-secret", "canary-secret\n", " canary-secret", "canary-secret\x00", "ÿcanary-secret", ""]
)
async def test_a_field_that_cannot_be_sent_is_refused_without_a_word_of_it(value: str, authority: trustme.CA, folder: Path) -> None:
    async with Mint(authority, reply(b"{}")) as mint:
        with pytest.raises(DependencyDown, match="characters that none may carry") as caught:
            await post(mint.url(), folder, headers={"authorization": value})
    assert mint.asked == []
    assert "canary-secret" not in "".join(traceback.format_exception(caught.value))


async def test_the_name_of_a_field_is_judged_as_well(authority: trustme.CA, folder: Path) -> None:
    async with Mint(authority, reply(b"{}")) as mint:
        with pytest.raises(DependencyDown):
            await post(mint.url(), folder, headers={"x-a\r\nx-b": "1"})


async def test_a_client_certificate_is_shown_to_who_asks_for_one(authority: trustme.CA, folder: Path) -> None:
    identity = str(folder / "client.pem"), str(folder / "client.key")
    async with Mint(authority, reply(b"{}"), clients=authority) as mint:
        assert (await post(mint.url(), folder, identity=identity)).status == 200
        with pytest.raises(DependencyDown):
            await post(mint.url(), folder)
    shown = mint.asked[0].certificate
    assert shown is not None
    assert ssl.DER_cert_to_PEM_cert(shown).strip() in (folder / "client.pem").read_text()
    assert len(mint.asked) == 1


async def test_a_certificate_or_key_that_cannot_be_used_is_an_outage(authority: trustme.CA, folder: Path) -> None:
    async with Mint(authority, reply(b"{}"), clients=authority) as mint:
        for identity in [
            (str(folder / "client.pem"), str(folder / "missing")),
            (str(folder / "client.key"), str(folder / "client.key")),
            (str(folder / "client.pem"), str(folder / "ca.pem")),
        ]:
            with pytest.raises(DependencyDown):
                await post(mint.url(), folder, identity=identity)
    assert mint.asked == []


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "fec0::1", "::ffff:169.254.169.254", "0.0.0.0"]
)
async def test_what_may_not_be_asked_may_not_be_told_either(address: str, folder: Path) -> None:
    """Rows 122 and 123: CVE-2026-53708, CVE-2026-44430."""

    async def there(host: str, port: int) -> list[str]:
        return [address]

    with pytest.raises(DependencyDown, match="no address that may be dialled"):
        await post("https://mint.test/token", folder, resolve=there, allow_private=False)


async def test_a_name_that_moves_between_two_questions_is_dialled_where_it_was_judged(authority: trustme.CA, folder: Path) -> None:
    """Row 122: the second answer is never asked for."""
    answers = [["127.0.0.1"], ["192.0.2.1"]]

    async def moving(host: str, port: int) -> list[str]:
        return answers.pop(0)

    async with Mint(authority, reply(b"{}")) as mint:
        assert (await post(mint.url(), folder, resolve=moving)).status == 200
    assert len(answers) == 1


async def test_a_plaintext_or_decorated_url_is_refused(folder: Path) -> None:
    for url in ["http://mint.test/token", "https://user:canary@mint.test/token", "file:///etc/passwd"]:
        with pytest.raises(DependencyDown) as caught:
            await post(url, folder)
        assert "canary" not in caught.value.detail


async def test_an_answer_larger_than_its_cap_is_refused(authority: trustme.CA, folder: Path) -> None:
    async with Mint(authority, reply(b"x" * 1001)) as mint:
        with pytest.raises(DependencyDown, match="larger than 1000"):
            await post(mint.url(), folder)
