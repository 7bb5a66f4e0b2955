"""What commands in pages print: typed one after the other as a reader would, and their output written below them.

A block ```console holds commands, each on a line `$ command`, and what they printed. A block whose first line is a comment that
names a file is that file. An output that ends with a line `…` is shown as far as that line. What differs from one machine to
the next, the folder, is shown as `…` too.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from gateway.cli import BAD_CONFIGURATION, assemble
from gateway.core.errors import ConfigError

BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED: Final = re.compile(r"# ([\w./-]+\.(?:yaml|jsonl?))\n")
PROMPT: Final = "$ "
CUT: Final = "…"
LONGEST: Final = 60
"""Seconds that one command may take."""


class Console:
    """Somebody at a terminal: a folder, the exit code of the last command."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._home = folder
        self._folder = folder
        self._environ = {"PATH": os.environ.get("PATH", ""), **environ}
        self._code = 0

    def typed(self, command: str) -> str:
        """What a command prints, lines without the last newline."""
        words = shlex.split(command)
        if words[0] == "cd":
            self._folder = (self._home / words[1]).resolve()
            return ""
        if command == "echo $?":
            return str(self._code)
        self._code, printed = self._gateway(words[1:]) if words[0] == "gateway" else self._shell(command)
        return printed.replace(str(self._folder), CUT).rstrip("\n")

    def save(self, name: str, text: str) -> None:
        """A file as a page shows it."""
        file = self._folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def _gateway(self, words: list[str]) -> tuple[int, str]:
        """A `gateway` command, in this process: a new one would take a second."""
        printed = io.StringIO()
        shown = contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed)
        with _environment(self._environ), contextlib.chdir(self._folder), shown[0], shown[1]:
            code = _exit_code(words)
        return code, printed.getvalue()

    def _shell(self, command: str) -> tuple[int, str]:
        done = subprocess.run(  # noqa: S603  what the project's own pages say
            ["bash", "-c", command],  # noqa: S607
            cwd=self._folder,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        return done.returncode, done.stdout


def answered(text: str, folder: Path, environ: Mapping[str, str], *, saves: bool) -> str:
    """A page with what its commands print when they are typed in `folder`. `saves`: the files that it shows are written there."""
    console = Console(folder, environ)
    return BLOCK.sub(lambda found: _block(console, found[1], found[2], saves=saves), text)


def _block(console: Console, language: str, content: str, *, saves: bool) -> str:
    if language == "console":
        content = "".join(_entry(console, entry) for entry in re.split(r"^(?=\$ )", content, flags=re.MULTILINE) if entry)
    elif saves and (named := NAMED.match(content)) is not None:
        console.save(named[1], content if named[1].endswith(".yaml") else content[named.end() :])
    return f"```{language}\n{content}```"


def _entry(console: Console, entry: str) -> str:
    command, *shown = entry.rstrip("\n").split("\n")
    printed = console.typed(command.removeprefix(PROMPT)).splitlines()
    if shown and shown[-1] == CUT:
        printed = [*printed[: len(shown) - 1], CUT]
    return "".join(f"{line}\n" for line in [command, *printed])


def _exit_code(words: list[str]) -> int:
    try:
        assemble(words)(args=words, prog_name="gateway")
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return BAD_CONFIGURATION
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0


@contextlib.contextmanager
def _environment(environ: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
