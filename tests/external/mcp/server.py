"""An MCP server (Streamable HTTP) with one tool. Prints its port, serves until it is killed."""

import socket
import sys

import uvicorn
from mcp.server import MCPServer

server = MCPServer("notes")


def note(id: int) -> str:
    """One note."""
    return f"note {id} of this server"


server.tool()(note)

listener = socket.create_server(("127.0.0.1", 0))
sys.stdout.write(f"{listener.getsockname()[1]}\n")
sys.stdout.flush()
uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="warning")).run(sockets=[listener])
