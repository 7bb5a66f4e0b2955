"""What one request through the upstream client costs, in microseconds, against an echo on loopback in its own process.

    python bench/upstream_pool.py [requests] [connections]

Wall time holds both processes' work when they share a core; CPU time is this process's alone.
"""

import asyncio
import multiprocessing
import sys
import time
from typing import cast

import uvloop

from gateway.core.message import NO_BODY, Outbound, Request, lines
from gateway.scrub.needles import Needles
from gateway.upstream.model import RouteTimeouts
from gateway.upstream.model import Upstream as Model
from gateway.upstream.pool import Upstream

ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1024\r\nserver: bench\r\ndate: x\r\n\r\n" + b"x" * 1024
)
HEADERS = [
    (b"user-agent", b"bench/1.0"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"via", b"1.1 gateway"),
    (b"x-request-id", b"01920000-0000-7000-8000-000000000000"),
    (b"authorization", b"Bearer 0123456789abcdef0123456789abcdef"),
]
LINES = lines(HEADERS)


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER * data.count(b"\r\n\r\n"))


class NoMetrics:
    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        pass

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        pass


def serve(queue: "multiprocessing.Queue[int]") -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
        queue.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())


async def measure(port: int, requests: int, connections: int) -> None:
    model = Model(url=f"http://127.0.0.1:{port}", internal=True, allow_plaintext=True, connections=connections)
    upstream = Upstream("bench", model, metrics=NoMetrics())
    nobody = cast("Request", None)  # the transport asks it nothing
    secrets = (Needles(b"0123456789abcdef0123456789abcdef"),)
    transport = upstream.transport(RouteTimeouts(), drop_cookies=True)

    async def client(count: int) -> None:
        for _ in range(count):
            outbound = Outbound("GET", b"/a", [], NO_BODY, nobody)
            outbound.authority, outbound.lines = b"upstream.example", [LINES]
            outbound.secrets = secrets
            response = await transport.send(outbound)
            assert len(response.body) == 1024

    await asyncio.gather(*(client(20) for _ in range(connections)))
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client(requests // connections) for _ in range(connections)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{connections} connections: {wall / requests * 1e6:.1f} us wall, {cpu / requests * 1e6:.1f} us CPU a request")
    await upstream.close()


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 64000
    connections = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    queue: multiprocessing.Queue[int] = multiprocessing.Queue()
    echo = multiprocessing.Process(target=serve, args=(queue,), daemon=True)
    echo.start()
    uvloop.run(measure(queue.get(), requests, connections))
    echo.terminate()


if __name__ == "__main__":
    main()
