"""Pieces, masks and what is found: properties that hold for any secret and any text."""

import base64
import logging
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.secret import Secret
from gateway.credentials.placed import Placed, field_value
from gateway.scrub.needles import SHORTEST, Needles, mask
from gateway.scrub.scrubber import Scrubber

SECRETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=SHORTEST, max_size=24)
TEXTS = st.lists(st.sampled_from(["a", "%", "\\", "&", "&#", "%2", "\\u00", "\\/", "+", "=", "\n", "x7"]), max_size=12).map("".join)


def scrubbed(needles: Needles, pieces: list[bytes]) -> tuple[bytes, int]:
    scrubber = Scrubber((needles,))
    return b"".join([*(scrubber.feed(piece) for piece in pieces), scrubber.end()]), scrubber.found


@given(SECRETS, TEXTS, TEXTS, st.sampled_from(["raw", "percent", "base64", "html"]), st.data())
def test_cut_anywhere_a_text_is_as_long_as_it_was_and_holds_no_secret(
    secret: str, before: str, behind: str, form: str, data: st.DataObject
) -> None:
    told = {
        "raw": secret,
        "percent": quote(secret, safe=""),
        "base64": base64.b64encode(secret.encode()).decode(),
        "html": "".join(f"&#{ord(sign)};" for sign in secret),
    }[form]
    text = f"{before} {told} {behind}".encode()
    needles = Needles(secret.encode())
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    given_back, found = scrubbed(needles, pieces)
    assert len(given_back) == len(text)
    assert found >= 1
    assert not needles.occur(given_back, needles.in_bodies)


def test_one_secret_that_begins_within_another_is_masked_with_it() -> None:
    needles = Needles(b"abcdefgh", b"xxabcdefghyy-long")
    assert scrubbed(needles, [b"-xxabcdefgh", b"yy-long-"])[0] == b"-xx" + mask(8) + b"yy-long-"
    apart = Scrubber((Needles(b"abcdefgh"), Needles(b"efghijklmn")))
    assert apart.feed(b"-abcdefgh") == b"-"
    assert apart.feed(b"ijklmn-") + apart.end() == mask(14) + b"-"


def test_a_short_secret_is_looked_for_in_heads_only_and_that_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Source:
        name = "env:SHORT"

        def current(self) -> Secret:
            return Secret(b"s3cret")

    placed = Placed(Source(), field_value)
    with caplog.at_level(logging.WARNING):
        placed.refresh()
    (needles,) = placed.echoes
    assert (needles.forms, needles.replaced(b"x s3cret y")) == ((), b"x REDACTED y")
    assert "less than 8 bytes" in caplog.text
    assert "s3cret" not in caplog.text


def test_what_is_of_no_use_for_another_request_is_looked_for_as_it_is() -> None:
    signature = b"0123456789abcdef"
    assert Needles(signature, once=True).forms == (signature,)


def test_fingerprints_tell_values_apart_and_nothing_shows_them() -> None:
    one, other = Needles(b"canary-one-1"), Needles(b"canary-two-2")
    assert len({one.fingerprint, other.fingerprint, Needles(b"canary-one-1").fingerprint}) == 2
    assert "canary" not in repr(one)


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4))
def test_every_form_is_looked_for_behind_a_byte_that_it_has(values: list[bytes]) -> None:
    needles = Needles(*values)
    for guards, forms in ((needles.in_bodies, needles.forms), (needles.in_heads, needles.every)):
        assert sorted(form for _, held in guards for form in held) == sorted(forms)
        assert all(sign in form for sign, held in guards for form in held)
