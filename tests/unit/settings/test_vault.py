"""Keys and sealed values of a configuration, opened at load: everything that does not fit is told in its place."""

import base64
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.credentials.vault.fault import Fault
from gateway.credentials.vault.keys import LocalKey
from gateway.credentials.vault.place import entry
from gateway.credentials.vault.ring import Ring
from gateway.settings import Loaded, load

DAY = 86400
KEYS = {"new": base64.b64encode(bytes(range(100, 132))).decode(), "old": bytes(range(32)).hex()}
ENVIRON = {"NEW": KEYS["new"], "OLD": KEYS["old"]}
VAULT = "vault: {keys: [{id: new, env: NEW}, {id: old, env: OLD}]}"


def sealed(name: str, value: bytes, *, key: str = "new", age: float = 0) -> str:
    ring = Ring([LocalKey(key, Secret(KEYS[key].encode()))], lambda: time.time() - age)
    return ring.seal(entry(name), Secret(value))


class Written:
    """A folder whose configuration is one credential with a sealed secret, and what is laid over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, entry: str | None, vault: str = VAULT, reference: str = "{sealed: bot}", **environ: str) -> Loaded:
        lines = ["version: 1", vault, *([] if entry is None else ["sealed:", f"  bot: {entry}"])]
        lines += ["credentials:", f"  bot: {{inject: bearer, secret: {reference}}}"]
        return self.text("\n".join(lines), **environ)

    def text(self, text: str, **environ: str) -> Loaded:
        (self.folder / "config.yaml").write_text(text + "\n")
        return load([self.folder / "config.yaml"], environ={**ENVIRON, **environ})

    def told(self, loaded: Loaded) -> list[str]:
        """What is said of secrets, without the folder."""
        every = [str(problem).replace(f"{self.folder}/", "") for problem in loaded.problems]
        return [text for text in every if " routes: " not in text and "is used by nothing" not in text]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path)


def secret(loaded: Loaded) -> bytes:
    assert loaded.settings is not None
    credential: Any = loaded.settings.credentials["bot"]
    return loaded.secrets(credential.secret).current().reveal()


@pytest.mark.parametrize("key", ["new", "old"])
def test_a_sealed_secret_is_opened_at_load_under_any_key_of_the_ring(written: Written, key: str) -> None:
    loaded = written.load(sealed("bot", b"a token", key=key))
    assert written.told(loaded) == []
    assert secret(loaded) == b"a token"
    assert loaded.vault.entries["bot"].key_id == key
    assert loaded.vault.ring is not None


def test_a_key_may_lie_in_a_file(written: Written) -> None:
    (written.folder / "key").write_text(KEYS["new"] + "\n")
    (written.folder / "key").chmod(0o600)
    loaded = written.load(sealed("bot", b"a token"), "vault: {keys: [{id: new, file: key}]}")
    assert written.told(loaded) == []
    assert secret(loaded) == b"a token"
    (written.folder / "key").chmod(0o644)
    assert written.told(written.load(sealed("bot", b"a token"), "vault: {keys: [{id: new, file: key}]}")) == [
        "config.yaml:2:32: warning: vault.keys[0].file: the file is readable by everybody (chmod 640)"
    ]


REFUSED: dict[str, tuple[str | None, str, str]] = {
    "of another name": (
        sealed("other", b"x"),
        VAULT,
        "4:8: sealed.bot: does not open: the key is another one, or the text was altered or moved (seal it anew: `gateway secrets seal`)",
    ),
    "under a key that is not there": (
        sealed("bot", b"x", key="old"),
        "vault: {keys: [{id: new, env: NEW}]}",
        "4:8: sealed.bot: does not open: is under the key 'old', which the ring does not have: new (add that key to `vault.keys`)",
    ),
    "under another key of the same id": (
        sealed("bot", b"x"),
        "vault: {keys: [{id: new, env: OLD}]}",
        "4:8: sealed.bot: does not open: the key is another one, or the text was altered or moved (seal it anew: `gateway secrets seal`)",
    ),
    "not sealed": (
        "hunter2",
        VAULT,
        "4:8: sealed.bot: is not sealed in a form that this version knows: 'lgs1:' is expected",
    ),
    "no entry": (
        None,
        VAULT,
        "4:33: credentials.bot.secret: nothing is sealed under the name 'bot': `gateway secrets seal bot` seals it",
    ),
    "no key at all": (
        sealed("bot", b"x"),
        "log: {level: info}",
        (
            "3:1: sealed: sealed values need the keys they are sealed under "
            "(add `vault: {keys: [{id: …, env: …}]}`; `gateway secrets key` makes a key)"
        ),
    ),
    "no keys": (sealed("bot", b"x"), "vault: {keys: []}", "2:15: vault.keys: must not be empty"),
    "a key that is not set": (
        sealed("bot", b"x"),
        "vault: {keys: [{id: new, env: NOWHERE}]}",
        "2:31: vault.keys[0].env: the variable NOWHERE is not set (set it, or name a file of variables with --env-file)",
    ),
    "a passphrase": (
        sealed("bot", b"x"),
        "vault: {keys: [{id: new, env: PASSPHRASE}]}",
        (
            "2:31: vault.keys[0].env: is no key: 32 bytes in base64 or hexadecimal are needed, not a passphrase "
            "(`gateway secrets key` makes one)"
        ),
    ),
    "a key of 16 bytes": (
        sealed("bot", b"x"),
        "vault: {keys: [{id: new, env: SHORT}]}",
        (
            "2:31: vault.keys[0].env: is no key: 32 bytes in base64 or hexadecimal are needed, not a passphrase "
            "(`gateway secrets key` makes one)"
        ),
    ),
    "a key file that is not there": (
        sealed("bot", b"x"),
        "vault: {keys: [{id: new, file: /nowhere}]}",
        "2:32: vault.keys[0].file: /nowhere cannot be read: No such file or directory",
    ),
    "one id twice": (
        sealed("bot", b"x"),
        "vault: {keys: [{id: new, env: NEW}, {id: new, env: OLD}]}",
        "2:42: vault.keys[1].id: the id 'new' is used twice",
    ),
    "a key in two places": (
        sealed("bot", b"x"),
        "vault: {keys: [{id: new, env: NEW, file: key}]}",
        "2:16: vault.keys[0]: exactly one of `env`, `file`, `transit`, `aws_kms` and `gcp_kms` says where the key is",
    ),
    "a key in no place": (
        sealed("bot", b"x"),
        "vault: {keys: [{id: new}]}",
        "2:16: vault.keys[0]: exactly one of `env`, `file`, `transit`, `aws_kms` and `gcp_kms` says where the key is",
    ),
    "a reminder every minute": (
        sealed("bot", b"x"),
        "vault: {keys: [{id: new, env: NEW}], rotate_after: 1m}",
        "2:52: vault.rotate_after: must be at least 86400.0",
    ),
}


@pytest.mark.parametrize(("entry", "vault", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_is_an_error_in_its_place_and_told_once(
    written: Written, entry: str | None, vault: str, told: str
) -> None:
    loaded = written.load(
        entry, vault, PASSPHRASE="correct horse battery staple", SHORT=base64.b64encode(bytes(range(16))).decode()
    )
    assert written.told(loaded) == [f"config.yaml:{told}"]
    assert loaded.errors
    with pytest.raises(ValueError):
        loaded.vault("bot")


def test_only_a_text_that_is_to_blame_is_an_alarm(written: Written) -> None:
    assert written.load(sealed("other", b"x")).vault.refused == {"bot": Fault.ALTERED}
    assert written.load(sealed("bot", b"x")).vault.refused == {}
    assert written.load(sealed("bot", b"x"), "vault: {keys: [{id: new, env: NOWHERE}]}").vault.refused == {}


def test_a_name_that_is_nearly_there_is_suggested(written: Written) -> None:
    loaded = written.load(sealed("bot", b"x"), reference="{sealed: bto}")
    assert written.told(loaded) == [
        "config.yaml:6:33: credentials.bot.secret: nothing is sealed under the name 'bto': did you mean 'bot'?"
    ]
    assert any("sealed.bot: sealed value 'bot' is used by nothing" in str(problem) for problem in loaded.problems)


@pytest.mark.parametrize("reference", ["{sealed: '*'}", "{sealed: '../bot'}", "{sealed: ''}", "{sealed: [bot]}"])
def test_a_name_is_one_plain_name(written: Written, reference: str) -> None:
    assert written.load(sealed("bot", b"x"), reference=reference).settings is None


@pytest.mark.parametrize("reference", ["{sealed: bot, env: NEW}", "{sealed: bot, file: x}", "{seald: bot}"])
def test_a_reference_is_of_one_kind(written: Written, reference: str) -> None:
    told = written.told(written.load(sealed("bot", b"x"), reference=reference))
    assert told == [
        "config.yaml:6:33: credentials.bot.secret: a secret is a reference: {env: NAME}, {file: PATH} or {sealed: NAME}"
    ]


def test_what_was_sealed_long_ago_is_a_warning_with_the_way_out(written: Written) -> None:
    loaded = written.load(sealed("bot", b"a token", age=91 * DAY))
    assert written.told(loaded) == [
        (
            "config.yaml:4:8: warning: sealed.bot: was sealed 91 days ago "
            "(put a new key in front (`gateway secrets key`), then `gateway secrets rotate`)"
        ),
    ]
    assert loaded.vault.overdue(time.time()) == ["bot"]
    assert secret(loaded) == b"a token"
    later = written.load(sealed("bot", b"a token", age=91 * DAY), VAULT.replace("]}", "], rotate_after: 365d}"))
    assert written.told(later) == []
    assert later.vault.overdue(time.time()) == []


def test_a_revoked_credential_is_a_warning_and_has_no_secret(written: Written) -> None:
    loaded = written.load("revoked")
    assert written.told(loaded) == [
        (
            "config.yaml:6:33: warning: credentials.bot.secret: the secret was revoked "
            "(requests that need it are answered 503; seal another: `gateway secrets seal`)"
        ),
    ]
    with pytest.raises(DependencyDown, match="sealed:bot: revoked"):
        secret(loaded)
    assert loaded.vault.overdue(time.time()) == []


def test_what_the_gateway_itself_needs_is_an_error_when_revoked(written: Written) -> None:
    loaded = written.text(f"version: 1\n{VAULT}\nsealed: {{admin: revoked}}\nadmin: {{token: {{sealed: admin}}}}")
    assert written.told(loaded) == ["config.yaml:4:16: admin.token: the secret was revoked (seal another: `gateway secrets seal`)"]


def test_a_weak_secret_is_weak_sealed_too(written: Written) -> None:
    loaded = written.load(sealed("bot", b"changeme"))
    assert written.told(loaded) == [
        "config.yaml:6:33: credentials.bot.secret: the secret is a placeholder (generate one, e.g. `openssl rand -base64 32`)"
    ]


def test_a_reload_goes_on_with_the_source_whose_value_is_the_same(written: Written) -> None:
    before, after = written.load(sealed("bot", b"x1")), written.load(sealed("bot", b"x1", key="old"))
    other, revoked = written.load(sealed("bot", b"x2")), written.load("revoked")
    assert before.settings is not None
    credential: Any = before.settings.credentials["bot"]
    kept = before.secrets(credential.secret)
    for loaded, same in ((after, True), (other, False), (revoked, False)):
        loaded.secrets(credential.secret)
        loaded.secrets.adopt(before.secrets)
        assert (loaded.secrets(credential.secret) is kept) is same


def test_nothing_that_is_shown_holds_a_secret_or_a_key(written: Written) -> None:
    loaded = written.load(sealed("bot", b"hunter2-hunter2"))
    shown = repr(loaded) + repr(loaded.vault.entries) + repr(vars(loaded.vault))
    assert "hunter2" not in shown
    assert KEYS["new"] not in shown
