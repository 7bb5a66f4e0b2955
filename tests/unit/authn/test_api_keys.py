"""API keys looked up by id and compared by keyed hash."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.authn import key_file, key_format
from gateway.authn.api_keys import LOOK_SECONDS, KeyHolders, KeyStore
from gateway.authn.strength import StrongSecret
from gateway.core.errors import DependencyDown, Unauthenticated
from gateway.core.reason import Reason
from tests.fakes import stored_key
from tests.issuer import NOW, PEPPER, Counted, FixedSecret, FrozenClock, grant

DAY = 86400.0


class Keys:
    """A key file and the store that reads it."""

    def __init__(self, folder: Path, sleep: Any = asyncio.sleep) -> None:
        self.path = folder / "api-keys.yaml"
        self.clock = FrozenClock()
        self.pepper = FixedSecret(PEPPER)
        self.metrics = Counted()
        self.sleep = sleep

    def create(self, **more: Any) -> str:
        ordinary: dict[str, Any] = {"name": "ci", "now": NOW}
        return stored_key(self.path, PEPPER, prefix="lgk", **(ordinary | more))[0]

    def store(self) -> KeyStore:
        return KeyStore(self.path, "lgk", StrongSecret(self.pepper), self.clock, self.metrics, sleep=self.sleep)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def refused(store: KeyStore, key: str | bytes) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as caught:
        store.verify(key.encode() if isinstance(key, str) else key)
    return caught.value


def test_a_key_stands_for_its_entry(keys: Keys) -> None:
    key = keys.create(subject="svc", roles=["reader"], permissions=["a:read"], expires=DAY)
    principal = KeyHolders(keys.store(), grant).authenticate(key.encode())
    assert (principal.id, principal.issuer, principal.scheme, principal.roles) == ("svc", "api_keys", "api_key", ("reader",))
    assert principal.credential_id == key.split("_")[1]
    assert principal.expires == NOW + DAY


def test_roles_that_were_not_stated_are_none_and_an_empty_list_is_none_at_all(keys: Keys) -> None:
    first, second = keys.create(), keys.create(roles=[], permissions=[])
    store = keys.store()
    assert (store.verify(first.encode()).identity.roles, store.verify(first.encode()).identity.permissions) == (None, None)
    assert (store.verify(second.encode()).identity.roles, store.verify(second.encode()).identity.permissions) == ((), ())


def test_an_unknown_key_and_a_wrong_one_are_refused_alike(keys: Keys) -> None:
    key = keys.create()
    store = keys.store()
    _, unknown = key_format.generate("lgk")
    head = "_".join(key.split("_")[:2]) + "_" + key_format.generate("lgk")[1].split("_")[2][:43]
    wrong = head + key_format.check(head)
    first, second = refused(store, unknown), refused(store, wrong)
    assert (first.reason, first.detail, first.headers) == (second.reason, second.detail, second.headers)
    assert store.verify(key.encode()).identity.id == "ci"


def test_an_expired_key_says_so_only_to_who_has_it(keys: Keys) -> None:
    key = keys.create(expires=DAY)
    store = keys.store()
    keys.clock.time = NOW + DAY - 1
    store.verify(key.encode())
    keys.clock.time = NOW + DAY
    assert refused(store, key).reason is Reason.CREDENTIAL_EXPIRED
    head = "_".join(key.split("_")[:2]) + "_" + "0" * 43
    assert refused(store, head + key_format.check(head)).reason is Reason.CREDENTIAL_INVALID


def test_a_stored_hash_presented_as_a_key_is_refused(keys: Keys) -> None:
    keys.create()
    (entry,) = key_file.load(keys.path)
    store = keys.store()
    for presented in (entry.hash, entry.hash.partition(":")[2], f"lgk_{entry.id}_{entry.hash}"):
        refused(store, presented)


def test_another_pepper_opens_nothing_and_a_weak_one_is_an_outage(keys: Keys) -> None:
    key = keys.create()
    store = keys.store()
    keys.pepper.replace(PEPPER[::-1])
    refused(store, key)
    keys.pepper.replace(b"changeme")
    with pytest.raises(DependencyDown):
        store.verify(key.encode())
    keys.pepper.replace(PEPPER)
    store.verify(key.encode())


def test_both_keys_live_during_a_rotation(keys: Keys) -> None:
    old = keys.create()
    new, _ = key_file.rotate(keys.path, PEPPER, old.split("_")[1], prefix="lgk", now=NOW, overlap=DAY)
    store = keys.store()
    holders = KeyHolders(store, grant)
    assert holders.authenticate(old.encode()).key == holders.authenticate(new.encode()).key
    keys.clock.time = NOW + DAY
    refused(store, old)
    store.verify(new.encode())


def test_a_change_of_the_file_takes_effect_and_a_broken_one_does_not(keys: Keys, caplog: pytest.LogCaptureFixture) -> None:
    first = keys.create()
    store = keys.store()
    holders = KeyHolders(store, grant)
    before = holders.authenticate(first.encode())
    store.read_again()
    assert holders.authenticate(first.encode()) is before
    second = keys.create(name="second")
    store.read_again()
    store.verify(second.encode())
    good = keys.path.read_text()
    keys.path.write_text("- {")
    store.read_again()
    store.verify(second.encode())
    assert store.status()["error"]
    assert "key file is malformed" in caplog.text
    keys.path.write_text(good)
    key_file.revoke(keys.path, second.split("_")[1], NOW)
    store.read_again()
    refused(store, second)
    assert store.status() == {"keys": 1, "error": None}
    assert [labels["outcome"] for _, labels in keys.metrics.counts] == ["success", "failure", "success"]


def test_a_file_that_is_taken_away_takes_its_keys_with_it(keys: Keys) -> None:
    key = keys.create()
    store = keys.store()
    keys.path.unlink()
    store.read_again()
    refused(store, key)
    assert store.status()["keys"] == 0


def test_changed_roles_make_a_new_principal(keys: Keys) -> None:
    key = keys.create(roles=["reader"])
    store = keys.store()
    holders = KeyHolders(store, grant)
    assert holders.authenticate(key.encode()).roles == ("reader",)
    keys.path.write_text(keys.path.read_text().replace("reader", "writer-and-more"))
    store.read_again()
    assert holders.authenticate(key.encode()).roles == ("writer-and-more",)


async def test_the_file_is_watched_from_start_to_close(tmp_path: Path) -> None:
    looks: asyncio.Queue[float] = asyncio.Queue()
    go = asyncio.Semaphore(0)

    async def sleep(seconds: float) -> None:
        looks.put_nowait(seconds)
        await go.acquire()

    keys = Keys(tmp_path, sleep)
    store = keys.store()
    await store.close()
    store.start()
    store.start()
    assert await looks.get() == LOOK_SECONDS
    key = keys.create()
    go.release()
    await looks.get()
    store.verify(key.encode())
    await store.close()


async def test_a_bug_while_looking_does_not_end_the_watch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    looks: asyncio.Queue[float] = asyncio.Queue()
    go = asyncio.Semaphore(0)

    async def sleep(seconds: float) -> None:
        looks.put_nowait(seconds)
        await go.acquire()

    class Broken(Counted):
        def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
            raise RuntimeError("bug")

    keys = Keys(tmp_path, sleep)
    keys.metrics = Broken()
    store = keys.store()
    store.start()
    await looks.get()
    keys.create()
    go.release()
    await looks.get()
    assert "bug while reading the key file" in caplog.text
    await store.close()
