#!/usr/bin/env bash
# Makes what deploy/compose.yaml needs and git must never see: a certificate for localhost, passwords, an empty key file.
# Existing files are kept. The folder is closed to others; the files in it are readable, because the containers' user owns none of them.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p secrets keys
chmod 0700 secrets

random() { openssl rand -base64 33 | tr -d '\n'; }

for name in redis-password key-pepper demo-token; do
    [ -e "secrets/$name" ] || random >"secrets/$name"
done
if [ ! -e secrets/tls.key ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout secrets/tls.key -out secrets/tls.crt 2>/dev/null
fi
chmod 0444 secrets/*
[ -e keys/api-keys.yaml ] || echo '[]' >keys/api-keys.yaml
# `gateway keys create` writes here as the containers' user.
chmod 0777 keys
