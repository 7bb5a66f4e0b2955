"""gateway: a security gateway in front of tool APIs. Imports go down this map, never sideways, never up.

cli, demo                    the entrance: commands
process, served, operations  one running gateway: load, listen, reload, stop
server                       bytes to messages
app, admin, portal, reload   the doors
tunnels                      what became of requests that opened a WebSocket
pipeline, build              the corridor every request walks, and what builds its rooms from configuration
snapshot, resources          one immutable configuration; what outlives it
settings                     the rooms' models as one document
routing, edge, authn, authz, ratelimit, credentials, upstream, websocket, audit    the rooms, strangers to each other
store, fetch, telemetry, taken, undumpable    the store-rooms
config                       documents, values, secret references
core                         words only
"""

__version__ = "0.1.0"
