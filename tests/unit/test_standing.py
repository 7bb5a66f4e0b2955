"""What telemetry is told of a configuration."""

from gateway.settings.model import Settings
from gateway.standing import names_of


def test_telemetry_knows_where_upstreams_are_and_what_they_speak() -> None:
    settings = Settings.model_validate(
        {
            "version": 1,
            "upstreams": {
                "api": {"url": "https://api.example.com"},
                "grpc": {"targets": ["https://a.example.com", "https://b.example.com"], "http2": True},
            },
        }
    )
    names = names_of(settings)
    assert {name: origin.url for name, origin in names.upstreams.items()} == {
        "api": "https://api.example.com",
        "grpc": "https://a.example.com",
    }
    assert names.http2 == {"grpc"}
