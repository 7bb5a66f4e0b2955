"""The load of most scenarios: wrk, which asks again as soon as it has an answer."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.contenders.contender import Ask
from bench.figures import Sample

UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}
HEADERS = {
    "User-Agent": "bench/1",
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "X-Client": "bench",
}
"""What every request carries beside its token."""
CONNECTIONS = 64


class Unclean(Exception):
    """A run with answers other than 200 or with broken connections: its figures would say nothing."""


@dataclass(frozen=True, slots=True)
class Script:
    """A wrk script and its arguments: requests that differ from one another."""

    path: Path
    arguments: tuple[str, ...] = ()


def wrk(url: str, ask: Ask, seconds: float, connections: int, script: Script | None = None) -> Sample:
    """One run of wrk: `rps`, and `p50_us` and `p99_us` of the answers' times. Raises Unclean."""
    whole = max(1, round(seconds))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{whole}s", "--timeout", "20s", "--latency"]
    for name, value in (HEADERS | dict(ask.headers)).items():
        command += ["-H", f"{name}: {value}"]
    command += ["-s", str(script.path), url + ask.path, "--", *script.arguments] if script else [url + ask.path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=whole + 60)
    if done.returncode:
        raise Unclean(f"wrk ended with {done.returncode}: {done.stderr.strip()[:200]}")
    return parse(done.stdout)


def parse(out: str) -> Sample:
    """The figures of what wrk prints. Raises Unclean where requests failed or nothing was measured."""
    for trouble in ("Non-2xx", "Socket errors"):
        if found := re.search(rf"{trouble}.*", out):
            raise Unclean(found[0].strip())
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    requests = re.search(r"(\d+) requests in", out)
    times = {share: re.search(rf"^\s+{share}%\s+([\d.]+)(us|ms|s|m)\s*$", out, re.MULTILINE) for share in (50, 99)}
    half, most = times[50], times[99]
    if rate is None or requests is None or half is None or most is None or not float(rate[1]):
        raise Unclean("wrk measured nothing")
    return {
        "rps": float(rate[1]),
        "requests": float(requests[1]),
        "p50_us": float(half[1]) * UNITS[half[2]],
        "p99_us": float(most[1]) * UNITS[most[2]],
    }


def rendered(ask: Ask) -> str:
    """The request as it goes over the wire."""
    fields = {"Host": "127.0.0.1", **HEADERS, **ask.headers}
    if ask.body:
        fields["Content-Length"] = str(len(ask.body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{ask.method} {ask.path} HTTP/1.1\r\n{lines}\r\n{ask.body}"
