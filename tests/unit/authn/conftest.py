"""Keys are dear to make: one of each kind for all tests."""

import pytest

from tests.issuer import EcKey, EdKey, FrozenClock, RsaKey, ScriptedFetch


@pytest.fixture(scope="session")
def rsa_key() -> RsaKey:
    return RsaKey()


@pytest.fixture(scope="session")
def other_rsa_key() -> RsaKey:
    return RsaKey("rsa-2")


@pytest.fixture(scope="session")
def ec_key() -> EcKey:
    return EcKey()


@pytest.fixture(scope="session")
def ed_key() -> EdKey:
    return EdKey()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def fetch() -> ScriptedFetch:
    return ScriptedFetch()
