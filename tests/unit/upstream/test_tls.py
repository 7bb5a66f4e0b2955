"""An upstream's TLS files: usable at the start or refused, and nobody waits for what is no file."""

import os
from pathlib import Path

import pytest

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.upstream.model import UpstreamTls
from gateway.upstream.tls import ClientTls, Shown, in_memory
from tests.pki import Pki


def replace_by_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def model(pki: Pki) -> UpstreamTls:
    return UpstreamTls(ca=pki.client_ca_file, client_certificate=pki.certificate, client_key=pki.model().key)


@pytest.mark.parametrize("file", ["client_ca_file", "certificate", "key"])
def test_a_pipe_in_place_of_a_file_refuses_the_start_and_later_leaves_the_last_good_one(tmp_path: Path, file: str) -> None:
    """What is dialled with is renewed on the event loop, which must not wait for a writer."""
    pki = Pki(tmp_path)
    tls = ClientTls(model(pki))
    before = tls.context()
    replace_by_pipe(getattr(pki, file))
    assert tls.context() is before
    with pytest.raises(ValueError, match="not a regular file"):
        ClientTls(model(pki))


def test_a_replaced_file_makes_a_new_context(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    tls = ClientTls(model(pki))
    before = tls.context()
    pki.serve("another.example")
    assert tls.context() is not before


class Key:
    """A key that tests can replace and take back."""

    name = "sealed:key"

    def __init__(self, file: Path) -> None:
        self.secret: Secret | None = Secret(file.read_bytes())

    def current(self) -> Secret:
        if self.secret is None:
            raise DependencyDown("sealed:key: revoked")
        return self.secret


def test_a_key_that_is_in_no_file_is_read_from_memory_and_again_when_it_changes(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    key = Key(pki.key)
    pki.key.unlink()
    tls = ClientTls(UpstreamTls(), shown=Shown("ci", pki.certificate, key))
    before = tls.context()
    assert tls.context() is before
    pki.serve("another.example")
    assert tls.context() is before, "the certificate is another, its key not yet: the last good pair stays"
    key.secret = Secret(pki.key.read_bytes())
    after = tls.context()
    assert after is not before
    key.secret = None
    assert tls.context() is after, "a request is refused before it comes here"


def test_a_key_that_was_taken_back_keeps_no_gateway_from_starting_and_makes_no_connection(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    key = Key(pki.key)
    key.secret = None
    tls = ClientTls(UpstreamTls(), shown=Shown("ci", pki.certificate, key))
    with pytest.raises(OSError, match="no key"):
        tls.context()
    key.secret = Secret(pki.key.read_bytes())
    assert tls.context() is tls.context()


def test_what_is_no_key_is_refused_without_a_word_of_it(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    key = Key(pki.key)
    key.secret = Secret(b"canary-no-key")
    with pytest.raises(ValueError, match="cannot be used") as refusal:
        ClientTls(UpstreamTls(), shown=Shown("ci", pki.certificate, key))
    assert "canary" not in str(refusal.value)


def test_memory_holds_a_key_for_a_moment_only() -> None:
    with in_memory(Secret(b"canary")) as path:
        assert path is not None
        assert Path(path).read_bytes() == b"canary"
    assert not Path(path).exists()
