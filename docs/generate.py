#!/usr/bin/env python3
"""Writes the reference pages that come from code, and what the cookbook quotes: `make docs`. Tests compare them with what stands
in docs/reference and docs/cookbook."""

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from docs import cel  # noqa: E402  the script is run by its path
from docs.console import answered  # noqa: E402  the script is run by its path
from docs.reasons import MEANING  # noqa: E402  the script is run by its path
from docs.tables import objects, table  # noqa: E402
from gateway.authz.lints import LINTS  # noqa: E402
from gateway.cli.schema import config_schema, policy_schema  # noqa: E402
from gateway.core.reason import IN_DOUBT, STATUS, Reason, title  # noqa: E402
from gateway.telemetry.instruments import INSTRUMENTS, prometheus_name  # noqa: E402

COOKBOOK = ROOT / "docs" / "cookbook"
WALKED = ROOT / "docs" / "tutorials" / "policies.md"
NOTE = "<!-- Made by docs/generate.py (`make docs`): change the code it comes from, not this page. -->"


def errors() -> list[str]:
    *most, last = (f"`{reason}`" for reason in Reason if reason in IN_DOUBT)
    listed = f"{', '.join(most)} and {last}"
    lines = [
        "# Errors",
        "",
        "What the gateway answers by itself is a problem document (RFC 9457) with `Content-Type: application/problem+json`:",
        "",
        "```json",
        '{"type": "urn:latchgate:problem:policy-denied", "title": "Forbidden", "status": 403, "instance": "urn:uuid:0192…",',
        ' "error": "The request was denied", "timestamp": "2026-11-21T10:58:00Z", "request_id": "0192…"}',
        "```",
        "",
        "The reason is the end of `type`, the audit event's `reason` and the label `reason` of `gateway_requests_total`. It is one",
        "of a closed list and never renamed. `error` is one fixed text per status: no rule, no upstream, no hint if a key exists.",
        "",
        f"The connection ends with {listed}: the message could be",
        "read in two ways, or was not read to its end. After the other refusals it can be used on.",
    ]
    for status in sorted(set(STATUS.values())):
        lines += ["", f"## {status} {title(status)}", ""]
        rows = [[f"`{reason}`", *MEANING[reason]] for reason in Reason if STATUS[reason] == status]
        lines += table(["reason", "means", "do"], rows)
    return lines


def metrics() -> list[str]:
    lines = [
        "# Metrics",
        "",
        "On `/metrics` of the admin listener in Prometheus' text format, and by OTLP where `telemetry.metrics.otlp` says so.",
        "Labels lose their dots in Prometheus (`http.route` is `http_route`); a histogram `x` is read as `x_bucket`, `x_sum` and",
        "`x_count`. A route is named by its name and pattern, never by a path; a label's values beyond the cardinality limit are",
        "counted together under `otel.metric.overflow`.",
        "",
    ]
    rows = [
        [
            f"`{instrument.name}`",
            f"`{prometheus_name(instrument)}`",
            instrument.type,
            ", ".join(f"`{label}`" for label in instrument.labels) or "—",
            instrument.about,
        ]
        for instrument in INSTRUMENTS
    ]
    return lines + table(["OpenTelemetry", "Prometheus", "type", "labels", "what"], rows)


def configuration() -> list[str]:
    return [
        "# Configuration",
        "",
        "Every key of `config.yaml`. `gateway config schema` prints the same as JSON Schema 2020-12 for your editor;",
        "[contract.md](contract.md#2-configuration) has one annotated example of everything.",
        "",
        *objects(config_schema(), "config.yaml"),
    ]


def policies() -> list[str]:
    return [
        "# Policy files",
        "",
        "Every key of policy documents. What they mean: [contract.md](contract.md#4-policies).",
        "",
        *objects(policy_schema(), ""),
    ]


def lint() -> list[str]:
    lines = [
        "# Findings of `gateway policy lint`",
        "",
        "What is looked for in policies that are sound. Each finding carries one of these names, which stay. With `--strict`",
        "warnings end with exit code 1 as errors do; notes (`info`) never do. What `gateway check` tells as well is marked.",
        "[Write and test policies](../how-to/policies.md#what-is-suspicious) says what the proof of `unguarded-credential` covers.",
    ]
    for name, about in LINTS.items():
        severity = "note" if about.severity == "info" else about.severity
        lines += ["", f"## {name}", "", f"*{severity}{', also in `gateway check`' if about.checked else ''}*", ""]
        lines += [about.means, "", about.do]
    return lines


PAGES: dict[str, Callable[[], list[str]]] = {
    "errors.md": errors,
    "metrics.md": metrics,
    "configuration.md": configuration,
    "policies.md": policies,
    "cel.md": cel.page,
    "lint.md": lint,
}


def render(page: str) -> str:
    """The text of one reference page."""
    first, *rest = PAGES[page]()
    return "\n".join([first, "", NOTE, *rest]) + "\n"


QUOTED = re.compile(r"^```yaml\n# (recipes/[\w./-]+)\n.*?^```$", re.MULTILINE | re.DOTALL)


def quoting(text: str) -> str:
    """A page of the cookbook whose blocks that begin with a recipe's file name hold that file."""
    return QUOTED.sub(lambda found: f"```yaml\n# {found[1]}\n{(COOKBOOK / found[1]).read_text(encoding='utf-8')}```", text)


ENVIRON = {"GATEWAY_KEY_PEPPER": "k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u"}


def cooked(text: str) -> str:
    """A page of the cookbook with the files it quotes and what its commands print."""
    return answered(quoting(text), COOKBOOK, ENVIRON, saves=False)


def walked(text: str) -> str:
    """A tutorial that is followed from an empty folder, with what its commands print."""
    with tempfile.TemporaryDirectory() as folder:
        return answered(text, Path(folder), ENVIRON, saves=True)


def pages() -> Iterator[tuple[Path, str]]:
    """Every page that is made, or made in part, with what it should be."""
    for page in PAGES:
        yield ROOT / "docs" / "reference" / page, render(page)
    for file in sorted(COOKBOOK.glob("*.md")):
        yield file, cooked(file.read_text(encoding="utf-8"))
    yield WALKED, walked(WALKED.read_text(encoding="utf-8"))


def main() -> None:
    for file, text in pages():
        if "--check" not in sys.argv:
            file.write_text(text, encoding="utf-8")
        elif file.read_text(encoding="utf-8") != text:
            sys.exit(f"{file.name} is not what the code says: run `make docs`")


if __name__ == "__main__":
    main()
