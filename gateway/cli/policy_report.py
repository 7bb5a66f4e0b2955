"""The results of policy cases: text for people, JSON for scripts, JUnit XML for continuous integration.

JUnit XML has no one schema. What is written here satisfies two strict ones: Apache Ant's (windyroad/JUnit-Schema) and that of
Jenkins' xUnit plugin (junit-10.xsd); every subject of a case is one test, and so is every rule's coverage where it was asked for.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from gateway.authz import trace
from gateway.authz.cases import Coverage, Report, Result
from gateway.cli import terminal
from gateway.cli.report import nearby
from gateway.cli.terminal import one_line

# XML 1.0 2.2: all other characters cannot stand in a document, not even as references.
NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
HOST: Final = "localhost"


@dataclass(frozen=True, slots=True)
class Told:
    """A report and how much of it is told. `threshold` is the percentage of rules to be covered, None where nobody asked."""

    report: Report
    threshold: float | None = None
    traced: bool = False

    @property
    def uncovered(self) -> list[Coverage]:
        """Rules that were asked for and not seen in both outcomes."""
        return [] if self.threshold is None else [each for each in self.report.coverage if not each.complete]

    @property
    def falls_short(self) -> bool:
        """Whether fewer rules are covered than were asked for."""
        return self.threshold is not None and self.report.percent < self.threshold

    @property
    def failed(self) -> bool:
        return bool(self.report.failed) or self.falls_short


def text(told: Told) -> str:
    """A line for each failure, with its trace where that is wanted, and a line for all."""
    lines: list[str] = []
    for result in told.report.results:
        if not result.passed:
            lines.append(one_line(f"{nearby(result.place)}: {result.case} as {result.subject}: {result.message}"))
            lines.extend(f"    {line}" for line in _trace(told, result))
    lines += [one_line(f"{nearby(each.place)}: {each.rule} {_missing(each)}") for each in told.uncovered]
    report = told.report
    summary = (
        f"{report.passed} passed, {report.failed} failed; {report.covered} of {len(report.coverage)} rules seen in both outcomes"
    )
    lines.append(summary + (f", {told.threshold:g} % are asked for" if told.falls_short else ""))
    return "\n".join(lines)


def json(told: Told) -> str:
    """`{passed, failed, percent, results: [{test, case, place, subject, expected, actual, rule, message}], coverage: […]}`."""
    report = told.report
    document = {
        "passed": report.passed,
        "failed": report.failed,
        "percent": round(report.percent, 1),
        "results": [_result(told, each) for each in report.results],
        "coverage": [
            {"rule": each.rule, "place": each.place, "complete": each.complete, "matched": each.matched, "missed": each.missed}
            for each in report.coverage
        ],
    }
    return terminal.json(document)


def junit(told: Told) -> str:
    """A `testsuites` document: a suite for each PolicyTest, and one for the rules where coverage was asked for."""
    root = Element("testsuites")
    for name, results in groupby(told.report.results, key=lambda result: result.test):
        tests = [(f"{each.case} as {each.subject}", _failure(told, each)) for each in results]
        _suite(root, name, tests)
    if told.threshold is not None:
        short = told.falls_short
        covered = [
            (each.rule, f"{each.place}: {each.rule} {_missing(each)}" if short and not each.complete else "")
            for each in told.report.coverage
        ]
        _suite(root, "coverage", covered)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode")


FORMATS: Final[dict[str, Callable[[Told], str]]] = {"text": text, "json": json, "junit": junit}


def _trace(told: Told, result: Result) -> Iterator[str]:
    if told.traced and result.explanation is not None:
        yield from trace.text(result.explanation).split("\n")


def _missing(each: Coverage) -> str:
    return f"was never {'missed' if each.matched else 'matched'} by a case"


def _result(told: Told, result: Result) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "test": result.test,
        "case": result.case,
        "place": result.place,
        "subject": result.subject,
        "expected": result.expected,
        "actual": result.actual,
        "rule": result.rule,
        "message": result.message,
    }
    if told.traced and not result.passed and result.explanation is not None:
        shown["explanation"] = trace.data(result.explanation)
    return shown


def _failure(told: Told, result: Result) -> str:
    """What is said of a test that failed, its first line the message; "" for one that passed."""
    if result.passed:
        return ""
    return "\n".join([result.message, f"{nearby(result.place)}", *_trace(told, result)])


def _suite(root: Element, name: str, tests: Sequence[tuple[str, str]]) -> None:
    failures = sum(bool(failure) for _, failure in tests)
    suite = SubElement(
        root,
        "testsuite",
        name=_sayable(name),
        package="policies",
        id=str(len(root)),
        timestamp=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}",
        hostname=HOST,
        tests=str(len(tests)),
        failures=str(failures),
        errors="0",
        skipped="0",
        time="0",
    )
    SubElement(suite, "properties")
    for test, failure in tests:
        case = SubElement(suite, "testcase", name=_sayable(test), classname=f"policies.{_sayable(name)}", time="0")
        if failure:
            message = _sayable(failure.split("\n", 1)[0])
            SubElement(case, "failure", message=message, type="policy").text = _sayable(failure)
    SubElement(suite, "system-out")
    SubElement(suite, "system-err")


def _sayable(text: str) -> str:
    """Without what XML cannot say, which is shown as its escape."""
    return NO_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
