"""Media types as header fields name them (RFC 9110 8.3.1)."""


def media_type(value: str) -> str:
    """A media type without its parameters, in lower case."""
    return value.partition(";")[0].strip().lower()


def is_json(essence: str) -> bool:
    """application/json and the types built on it (RFC 6839 3.1)."""
    return essence == "application/json" or (essence.startswith("application/") and essence.endswith("+json"))


def charsets(value: str) -> list[str]:
    """All charset parameters in lower case. There should be one at most, and readers differ in which of two they take."""
    pairs = (parameter.partition("=") for parameter in value.split(";")[1:])
    return [text.strip().strip('"').lower() for name, _, text in pairs if name.strip().lower() == "charset"]
