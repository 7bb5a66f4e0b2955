"""security.txt, as RFC 9116 has it."""

import pytest

from gateway.edge.model import SecurityTxt
from gateway.edge.security_txt import SecurityText

NOW = 1_795_258_680.9
DAY = 86400.0


def test_document_holds_the_configured_fields_and_a_computed_expiry() -> None:
    text = SecurityText(
        SecurityTxt.model_validate(
            {
                "contact": ["mailto:security@example.com", "https://example.com/report"],
                "expires": "180d",
                "policy": "https://example.com/policy",
                "preferred_languages": "en, de",
            }
        )
    )
    assert text.render(NOW) == (
        b"Contact: mailto:security@example.com\n"
        b"Contact: https://example.com/report\n"
        b"Policy: https://example.com/policy\n"
        b"Preferred-Languages: en, de\n"
        b"Expires: 2027-05-20T10:58:00Z\n"
    )


def test_expiry_moves_on_so_that_it_never_passes() -> None:
    text = SecurityText(SecurityTxt.model_validate({"contact": "mailto:a@example.com", "expires": "1d"}))
    assert text.render(NOW) != text.render(NOW + 2 * DAY)


def test_answer_is_plain_text() -> None:
    response = SecurityText(SecurityTxt(contact="tel:+49-1-2")).response(NOW)
    assert (response.status, response.headers) == (200, [(b"content-type", b"text/plain; charset=utf-8")])


@pytest.mark.parametrize(
    "config",
    [
        {"contact": "security@example.com"},
        {"contact": "http://example.com/report"},
        {"contact": []},
        {"contact": "mailto:a@example.com\nExpires: 2099-01-01T00:00:00Z"},
        {"contact": "mailto:a@example.com", "policy": "http://example.com"},
        {"contact": "mailto:a@example.com", "preferred_languages": "en\r\nX: y"},
        {"contact": "mailto:a@example.com", "expires": "400d"},
        {"contact": "mailto:a@example.com", "expires": "0s"},
    ],
    ids=["no scheme", "plain http", "nobody", "line break", "plain http link", "line break in languages", "over a year", "at once"],
)
def test_what_the_rfc_does_not_allow_is_refused_at_load(config: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"RFC 9116|control characters"):
        SecurityText(SecurityTxt.model_validate(config))
