"""As many requests as a contender can take at 64 connections, and the delay of one connection."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench.arena import Entry, Instance
from bench.contenders import CONTENDERS, INTERPRETED
from bench.contenders.contender import Ask, Setup
from bench.figures import Sample
from bench.load import Script, wrk
from bench.process import kilobytes
from bench.scenarios.scenario import CADDY_BARE, ENVOY_FULL, GATEWAY_FULL, NGINX_BARE, UPSTREAM, Column, Run, Scenario
from bench.site import CLIENTS, NEW_TOKENS, Site, token_file

LUA = """
local tokens, number = {}, 0
function init(args)
  for token in io.lines(args[1]) do tokens[#tokens + 1] = token end
  number = tonumber(args[2])
end
function request()
  number = number + 1
  wrk.headers["Authorization"] = "Bearer " .. tokens[number % #tokens + 1]
  return wrk.format("GET", "/api/v1/items/" .. number % 100000)
end
"""
POST = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = "{\\"title\\": \\"" .. string.rep("x", 1009) .. "\\"}"
"""
ASKED = """
function init(args)
  local file = io.open(args[1])
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.body = file:read("*a")
end
"""
RATE = Column("rps", "req/s", ratios=True)
CPU = Column("cpu_us", "µs CPU/req", ",.1f", ratios=True)
P99 = Column("p99_us", "p99 µs")
SINGLE = Column("single_us", "p50 at 1 connection µs")
ADDED = Column("added_us", "added p50 µs", ratios=True)
RESIDENT = Column("rss_mb", "resident MB")
Loaded = Callable[[Instance, Run, float], Sample]


def write(site: Site, name: str, text: str) -> Path:
    path = site.root / name
    path.write_text(text)
    return path


def busy(
    instance: Instance,
    run: Run,
    seconds: float,
    ask: Ask | None = None,
    script: Script | None = None,
    connections: int | None = None,
) -> Sample:
    """One run of wrk, with the contender's number of clients or another, and what it cost the contender: `cpu_us` a request, from /proc/PID/stat of all its processes."""
    asked = ask or instance.ask
    if script is None and asked.method == "POST":
        script = Script(write(run.arena.site, "asked.lua", ASKED), (str(write(run.arena.site, "body", asked.body)),))
    before = instance.cpu()
    found = wrk(instance.url, asked, seconds, connections or instance.entry.contender.connections, script)
    if instance.pid is not None:
        found |= {"cpu_us": (instance.cpu() - before) / found["requests"] * 1e6, "rss_mb": kilobytes(instance.pid, "VmRSS") / 1024}
    return found


def both(instance: Instance, run: Run, seconds: float) -> Sample:
    """Throughput at 64 connections, then the median delay of a single one."""
    found = busy(instance, run, seconds)
    return found | {"single_us": busy(instance, run, seconds / 2, connections=1)["p50_us"]}


def at(path: str, connections: int | None = None) -> Loaded:
    """Everybody asks for this path."""

    def measure(instance: Instance, run: Run, seconds: float) -> Sample:
        return busy(instance, run, seconds, replace(instance.ask, path=path), connections=connections)

    return measure


def megabyte(instance: Instance, run: Run, seconds: float) -> Sample:
    found = at("/api/v1/files/1m", 16)(instance, run, seconds)
    return found | {"mb_s": found["rps"] * 1.048576}


def post(instance: Instance, run: Run, seconds: float) -> Sample:
    return busy(instance, run, seconds, script=Script(write(run.arena.site, "post.lua", POST)))


def in_turn(count: int) -> Loaded:
    """The next of so many tokens with each request, going on where the last run stopped."""

    def measure(instance: Instance, run: Run, seconds: float) -> Sample:
        memory = run.memory.setdefault(instance.entry, {})
        start = memory.get(f"token {count}", 0.0)
        files = write(run.arena.site, "tokens.lua", LUA), token_file(run.arena.site, count)
        found = busy(instance, run, seconds, script=Script(files[0], (str(files[1]), f"{start:.0f}")))
        memory[f"token {count}"] = start + found["requests"]
        return found

    return measure


def kind(
    name: str, title: str, text: str, measure: Loaded = busy, setup: Setup | None = None, *columns: Column, tls: bool = False
) -> Scenario:
    """Throughput of the three that matter: nginx bare, Envoy's chain and ours, ours in another setup where one is given."""
    entries = (
        NGINX_BARE,
        ENVOY_FULL,
        *((GATEWAY_FULL,) if setup is not None else ()),
        Entry(GATEWAY_FULL.contender, setup or GATEWAY_FULL.setup),
    )
    if tls:
        entries = tuple(Entry(entry.contender, replace(entry.setup, tls=True)) for entry in entries)
    return Scenario(name, title, text, entries, (RATE, *columns, P99, CPU), measure, reference=(entries[0], entries[1]))


BARE = Scenario(
    "bare",
    "Forwarding and nothing else",
    "GET of 1 KB over kept connections, 64 clients. The added p50 is that of a single connection less the upstream's own.",
    (UPSTREAM, *(Entry(contender) for contender in CONTENDERS if "bare" in contender.setups and contender.launch)),
    (RATE, CPU, P99, SINGLE, ADDED, RESIDENT),
    both,
    added=(("single_us", "added_us"),),
    reference=(NGINX_BARE, Entry(ENVOY_FULL.contender)),
)
FULL = Scenario(
    "full",
    "The full chain",
    "RS256 token, a condition, two limits, header injection, a log line a request, metrics; the gateway also traces 1 %. nginx and Caddy, bare, for scale.",
    (UPSTREAM, NGINX_BARE, CADDY_BARE, ENVOY_FULL, GATEWAY_FULL, Entry(INTERPRETED, GATEWAY_FULL.setup)),
    (RATE, CPU, P99, SINGLE, ADDED, RESIDENT),
    both,
    added=(("single_us", "added_us"),),
)
KINDS = (
    kind("varied", "Requests that vary", f"Each request for another item, {CLIENTS} clients' tokens in turn.", in_turn(CLIENTS)),
    kind("tokens", "Every token new", f"{NEW_TOKENS:,} tokens in turn, more than anybody remembers.", in_turn(NEW_TOKENS)),
    kind(
        "spans", "Every request traced", "The gateway exports a span of every request; Envoy none.", busy, Setup("full", spans=1.0)
    ),
    kind("redis", "Limits in Redis", "Two limits of the gateway in Redis, on the load's core.", busy, Setup("full", redis=True)),
    kind("tls", "TLS on both sides", "TLS 1.3, the upstream's certificate verified except by nginx.", tls=True),
    kind("body-16k", "Answers of 16 KB", "64 clients.", at("/api/v1/files/16k")),
    kind("body-1m", "Answers of 1 MB", "16 clients.", megabyte, None, Column("mb_s", "MB/s")),
    kind("post", "POST of 1 KB", "64 clients; the answer is 1 KB too.", post),
)
