"""Which URLs and addresses an upstream may have."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.errors import UpstreamUnreachable
from gateway.upstream.model import Upstream
from gateway.upstream.target import FRESH, STALE, Addresses, Target, parse_target, parse_targets


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("https://api.example.com", Target("https", "api.example.com", 443, ""), "api.example.com"),
        ("HTTPS://API.Example.com:443/", Target("https", "api.example.com", 443, ""), "api.example.com"),
        ("http://10.0.0.5:8080/base/v1/", Target("http", "10.0.0.5", 8080, "/base/v1"), "10.0.0.5:8080"),
        ("https://[2606:4700:0::1]:8443", Target("https", "2606:4700::1", 8443, ""), "[2606:4700::1]:8443"),
    ],
)
def test_a_url_is_read(url: str, target: Target, authority: str) -> None:
    assert (parse_target(url), parse_target(url).authority) == (target, authority)


@pytest.mark.parametrize(
    "url",
    [
        "api.example.com", "ftp://api.example.com", "file:///etc/passwd", "https://", "https:///x", "https://user@api.example.com",
        "https://user:pass@api.example.com", "https://api.example.com?x=1", "https://api.example.com#x", "https://api.example.com?",
        "https://api.example.com:0", "https://api.example.com:65536", "https://api.example.com:", "https://api.example.com:8x",
        "https://api.example.com/a/../b", "https://api.example.com/./b", "https://api.example.com/%2e/b", "https://api.example.com//b",
        "https://api.example.com/a b", "https://127.1", "https://2130706433", "https://0x7f.1", "https://0x7f000001",
        "https://0177.0.0.1", "https://127.0.0.01", "https://127.0.0.1.", "https://1.2.3.4.5", "https://[::1", "https://[fe80::1%25eth0]",
        "https://münchen.example", "https://api..example.com", "https://-api.example.com", "https://api.example.com\\@evil.example",
        "https://api.example.com\r\nx: y", "https://" + "a" * 64 + ".example", "",
    ],
)  # fmt: skip
def test_a_url_that_could_mean_something_else_is_refused(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_target(url)
    assert "pass" not in str(caught.value) or "password" in str(caught.value)


def model(**keys: Any) -> Upstream:
    return Upstream.model_validate(keys)


PRIVATE = [
    "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "[::1]", "[fd00::1]", "[fec0::1]", "[2002:7f00:1::]",
    "[64:ff9b::7f00:1]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "localhost", "api.localhost", "198.18.0.1", "240.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_target_needs_leave(host: str) -> None:
    with pytest.raises(ValueError, match="allow_private"):
        parse_targets(model(url=f"https://{host}"))
    assert parse_targets(model(url=f"https://{host}", allow_private=True))
    assert parse_targets(model(url=f"https://{host}", internal=True))


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "[::ffff:169.254.169.254]"]
)
def test_a_metadata_service_needs_more_leave_than_being_internal(host: str) -> None:
    for keys in ({}, {"internal": True}):
        with pytest.raises(ValueError):
            parse_targets(model(url=f"https://{host}", **keys))
    assert parse_targets(model(url=f"https://{host}", allow_private=True))


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "224.0.0.1", "[ff02::1]", "255.255.255.255"])
def test_what_is_no_hosts_address_is_never_a_target(host: str) -> None:
    with pytest.raises(ValueError):
        parse_targets(model(url=f"https://{host}", allow_private=True, internal=True))


def test_plaintext_needs_leave() -> None:
    with pytest.raises(ValueError, match="allow_plaintext"):
        parse_targets(model(url="http://api.example.com"))
    assert parse_targets(model(url="http://api.example.com", allow_plaintext=True))


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"url": "https://a.example", "targets": ["https://b.example"]},
        {"targets": ["https://a.example", "http://b.example"], "allow_plaintext": True},
        {"targets": ["https://a.example/x", "https://b.example/y"]},
        {"targets": ["https://a.example", "https://A.example:443/"]},
    ],
    ids=["neither", "both", "schemes", "bases", "twice"],
)
def test_targets_that_do_not_fit_together_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        parse_targets(model(**keys))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Resolver:
    """Gives the next of its answers, and counts."""

    def __init__(self, *answers: list[str] | OSError) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer


def addresses(resolve: Resolver, time: Callable[[], float], *, private: bool = False) -> Addresses:
    return Addresses(parse_target("https://api.example.com"), private=private, literal=private, resolve=resolve, time=time)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_only_public_answers_are_used() -> None:
    found = addresses(Resolver(["127.0.0.1", "8.8.8.8", "::ffff:10.0.0.1", "2606:4700::1"]), Clock())
    assert await found.current() == ("8.8.8.8", "2606:4700::1")


@pytest.mark.parametrize(
    "answer", ["127.0.0.1", "169.254.169.254", "fec0::1", "64:ff9b::7f00:1", "::ffff:169.254.169.254", "0.0.0.0"]
)
async def test_a_name_that_leads_inside_leads_nowhere(answer: str) -> None:
    with pytest.raises(UpstreamUnreachable):
        await addresses(Resolver([answer]), Clock()).current()


async def test_no_name_leads_to_a_metadata_service_whatever_is_allowed() -> None:
    with pytest.raises(UpstreamUnreachable):
        await addresses(Resolver(["169.254.169.254", "fd00:ec2::254"]), Clock(), private=True).current()


async def test_an_old_answer_is_used_while_a_new_one_is_fetched() -> None:
    clock, resolver = Clock(), Resolver(["8.8.8.8"], ["1.1.1.1"])
    found = addresses(resolver, clock)
    assert await found.current() == ("8.8.8.8",)
    clock.now += FRESH - 1
    assert await found.current() == ("8.8.8.8",)
    assert resolver.asked == 1
    clock.now += 2
    assert await found.current() == ("8.8.8.8",)
    await settled()
    assert await found.current() == ("1.1.1.1",)
    assert resolver.asked == 2


async def test_the_last_good_answer_outlives_the_resolver_for_a_while() -> None:
    clock, resolver = Clock(), Resolver(["8.8.8.8"], OSError("down"))
    found = addresses(resolver, clock)
    await found.current()
    clock.now += FRESH + 1
    await found.current()
    await settled()
    assert await found.current() == ("8.8.8.8",)
    clock.now += STALE
    with pytest.raises(UpstreamUnreachable):
        await found.current()


async def test_one_who_stops_waiting_does_not_stop_the_others() -> None:
    gate = asyncio.Event()

    async def slow(host: str, port: int) -> list[str]:
        await gate.wait()
        return ["8.8.8.8"]

    found = Addresses(parse_target("https://api.example.com"), private=False, literal=False, resolve=slow, time=Clock())
    first, second = asyncio.create_task(found.current()), asyncio.create_task(found.current())
    await settled()
    first.cancel()
    gate.set()
    assert await second == ("8.8.8.8",)
    assert first.cancelled()
