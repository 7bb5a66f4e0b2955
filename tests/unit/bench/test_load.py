"""What wrk prints and what it is asked to send."""

import pytest

from bench.contenders.contender import Ask
from bench.load import Unclean, parse, rendered

OUT = """Running 2s test @ http://127.0.0.1:8080/api/v1/items/17
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.77ms    1.23ms  20.42ms   89.33%
    Req/Sec    37.38k     3.06k   42.27k    66.67%
  Latency Distribution
     50%  948.00us
     75%    2.13ms
     90%    2.94ms
     99%    1.02s
  78114 requests in 2.10s, 99.09MB read
Requests/sec:  37196.34
Transfer/sec:     47.18MB
"""


def test_figures_of_wrk_are_read_in_one_unit() -> None:
    assert parse(OUT) == {"rps": 37196.34, "requests": 78114.0, "p50_us": 948.0, "p99_us": 1_020_000.0}


@pytest.mark.parametrize(
    "line", ["  Non-2xx or 3xx responses: 17", "  Socket errors: connect 0, read 3, write 0, timeout 1"], ids=["status", "socket"]
)
def test_a_run_with_failed_requests_has_no_figures(line: str) -> None:
    with pytest.raises(Unclean, match=line.strip()[:12]):
        parse(OUT + line + "\n")


@pytest.mark.parametrize("out", ["", OUT.replace("37196.34", "0.00"), OUT.replace("99%", "98%")], ids=["empty", "zero", "cut"])
def test_a_run_that_measured_nothing_has_no_figures(out: str) -> None:
    with pytest.raises(Unclean):
        parse(out)


def test_a_request_is_rendered_with_the_length_of_its_body() -> None:
    assert rendered(Ask("POST", "/a", {"X": "y"}, "12345")).endswith("X: y\r\nContent-Length: 5\r\n\r\n12345")
    assert "Content-Length" not in rendered(Ask())
