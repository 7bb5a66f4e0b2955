"""An upstream's TLS files: usable at the start or refused, and nobody waits for what is no file."""

import os
from pathlib import Path

import pytest

from gateway.upstream.model import UpstreamTls
from gateway.upstream.tls import ClientTls
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
