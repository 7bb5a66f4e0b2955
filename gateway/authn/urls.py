"""URLs that the gateway will call, judged where they are configured or learned."""

from urllib.parse import urlsplit


def check_url(url: str, allow_plaintext: bool) -> None:
    """A URL the gateway will call. Raises ValueError for another scheme than https, for userinfo and for what is no URL."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and allow_plaintext):
        raise ValueError(f"`{url.partition(':')[0]}:` is refused: https is needed, or `allow_plaintext: true` for http")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL must not contain userinfo")
    if not parts.hostname or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("a URL is written like https://idp.example.com/path")
    _ = parts.port
