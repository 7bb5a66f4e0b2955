"""How an authorization server says no: one of RFC 6749's words, which clients act upon."""

from gateway.tokens.granted import Granted


class Refused(Exception):
    """`error` is told to the client with `description`. `guess` says that something was tried which its holder would have known;
    `reused` names what was copied, as it came a second time."""

    def __init__(self, error: str, description: str, *, guess: bool = False, reused: Granted | None = None) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.guess = guess
        self.reused = reused
