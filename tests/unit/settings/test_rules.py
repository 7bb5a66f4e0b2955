"""What no single model can check: each rule by the smallest configuration that breaks it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gateway.config.document import read
from gateway.config.layers import Layers, merge
from gateway.core.errors import Problem
from gateway.settings import rules
from gateway.settings.rules.expressions import judged_expression

JWT = {"issuer": "https://i.example", "audience": ["a"], "jwks": {"url": "https://i.example/jwks"}, "algorithms": ["RS256"]}
SOUND: dict[str, Any] = {
    "version": 1,
    "authentication": {"jwt": {"corp": JWT}},
    "policies": [__file__],
    "upstreams": {"github": {"url": "https://api.example.com"}},
    "routes": [{"name": "r", "match": {"path": "/r/{id}"}, "upstream": "github", "authenticate": ["jwt.corp"]}],
}
PUBLIC = {"name": "p", "match": {"path": "/p"}, "upstream": "github", "anonymous": True}
TLS = {"certificate": "/dev/null", "key": {"file": "/dev/null"}}


def found(overlay: Any, base: Any = SOUND) -> list[Problem]:
    text = json.dumps(merge(base, overlay), indent=1, ensure_ascii=False)
    return [problem for problem in rules.check(Layers([read("f", text)])) if problem.message != "is not a file"]


def told(overlay: Any) -> list[str]:
    """`path: message (hint)` of every finding, warnings marked."""
    marks = {"error": "", "warning": "warning: "}
    return [f"{marks[one.severity]}{one.path}: {one.message}" for one in found(overlay)]


def route(**keys: Any) -> dict[str, Any]:
    return {"routes": [SOUND["routes"][0] | keys]}


def listener(**keys: Any) -> dict[str, Any]:
    return {"listen": keys}


def limited(route_limits: list[str], **rule: Any) -> dict[str, Any]:
    return {"rate_limits": {"rules": {"l": {"key": "subject", "limit": "1/minute"} | rule}}} | route(rate_limits=route_limits)


def cors(**keys: Any) -> dict[str, Any]:
    return {"cors": {"app": {"origins": ["https://a.example"]} | keys}} | route(cors="app")


def issuer(**keys: Any) -> dict[str, Any]:
    return {"authentication": {"jwt": {"corp": keys}}}


def upstream(**keys: Any) -> dict[str, Any]:
    return {"upstreams": {"github": keys}}


BOTH_LISTENERS = {"a": {"address": "127.0.0.1:1"}}
BROKEN: dict[str, tuple[Any, str]] = {
    # names
    "unknown upstream": (route(upstream="gihub"), "routes[0].upstream: unknown upstream 'gihub'"),
    "unknown credential of a route": (route(credential="x"), "routes[0].credential: unknown credential 'x'"),
    "unknown credential of an upstream": (upstream(credential="x"), "upstreams.github.credential: unknown credential 'x'"),
    "unknown CORS policy": (route(cors="x"), "routes[0].cors: unknown CORS policy 'x'"),
    "unknown rate limit": (route(rate_limits=["x"]), "routes[0].rate_limits[0]: unknown rate limit 'x'"),
    "unknown default rate limit": ({"rate_limits": {"default": ["x"]}}, "rate_limits.default[0]: unknown rate limit 'x'"),
    "unknown issuer": (route(authenticate=["jwt.crp"]), "routes[0].authenticate[0]: unknown scheme 'jwt.crp'"),
    "scheme that is not configured": (route(authenticate=["api_keys"]), "routes[0].authenticate[0]: unknown scheme 'api_keys'"),
    "scheme named twice": (
        route(authenticate=["jwt.corp", "jwt.corp"]),
        "routes[0].authenticate[1]: scheme 'jwt.corp' is named twice",
    ),
    "listeners of one": (
        route(match={"path": "/r", "listeners": ["x"]}),
        "routes[0].match.listeners: names listeners, but only one",
    ),
    "unknown listener": (
        {"listeners": BOTH_LISTENERS} | route(match={"path": "/r", "listeners": ["b"]}),
        "routes[0].match.listeners[0]: unknown listener 'b'",
    ),
    # listeners
    "both kinds of listeners": ({"listeners": BOTH_LISTENERS, "listen": {}}, "listeners: `listen` and `listeners` exclude"),
    "no named listener": ({"listeners": {}}, "listeners: no listener is named"),
    "bad address": (listener(address="8080"), "listen.address: an address is written like"),
    "plaintext off loopback": (
        listener(address="0.0.0.0:80", hosts=["a"]),
        "listen.address: plaintext on an address that is not loopback",
    ),
    "any host off loopback": (
        listener(address="0.0.0.0:443", tls=TLS),
        "warning: listen.address: any Host is accepted off loopback",
    ),
    "nobody may connect": (listener(allow_from=[]), "listen.allow_from: nobody may connect"),
    "redirect without TLS": (listener(redirect_http="127.0.0.1:81"), "listen.redirect_http: a redirect to https needs `tls`"),
    "redirect to no address": (listener(redirect_http="81", tls=TLS), "listen.redirect_http: an address is written like"),
    "trusts everybody": (
        listener(trusted_proxies=["0.0.0.0/0"], client_address="forwarded"),
        "listen.trusted_proxies[0]: trusts everybody",
    ),
    "trusts a wide network": (
        listener(trusted_proxies=["::/16"], client_address="forwarded"),
        "warning: listen.trusted_proxies[0]: trusts a very wide network",
    ),
    "no load balancer": (listener(proxy_protocol={}), "listen.proxy_protocol.from: nobody may connect: no load balancer is named"),
    "everybody is a load balancer": (
        listener(proxy_protocol={"from": ["::/0"]}),
        "listen.proxy_protocol.from[0]: trusts everybody",
    ),
    "a wide network of load balancers": (
        listener(proxy_protocol={"from": ["10.0.0.0/7"]}),
        "warning: listen.proxy_protocol.from[0]: trusts a very wide network",
    ),
    "address believed behind a load balancer on a unix socket": (
        listener(address="unix:/x", client_address="forwarded", proxy_protocol={}),
        "listen.client_address: is believed from nobody",
    ),
    "certificate believed behind a load balancer on a unix socket": (
        listener(
            address="unix:/x",
            client_address="forwarded",
            client_certificate="xfcc",
            proxy_protocol={},
            trusted_proxies=["10.0.0.1"],
        ),
        "listen.client_certificate: needs a proxy that proves who it is",
    ),
    "address believed from nobody": (listener(client_address="forwarded"), "listen.client_address: is believed from nobody"),
    "proxy that says nothing": (
        listener(trusted_proxies=["10.0.0.1"]),
        "warning: listen.trusted_proxies: all clients have the proxy's",
    ),
    "certificate believed from nobody": (listener(client_certificate="xfcc"), "listen.client_certificate: is believed from nobody"),
    "certificate from a proxy without one": (
        listener(client_certificate="xfcc", trusted_proxies=["10.0.0.1"], client_address="forwarded"),
        "listen.client_certificate: needs a proxy that proves who it is",
    ),
    "client certificates without a CA": (
        listener(tls=TLS | {"client_auth": "require"}),
        "listen.tls.client_auth: needs `client_ca`",
    ),
    "CA without effect": (listener(tls=TLS | {"client_ca": "/dev/null"}), "warning: listen.tls.client_ca: has no effect"),
    "revocations without a CA": (listener(tls=TLS | {"client_crl": "/dev/null"}), "listen.tls.client_crl: needs `client_ca`"),
    "no time for the head": (listener(limits={"header_timeout": "0s"}), "listen.limits.header_timeout: must be more than 0"),
    "host with a port": (listener(hosts=["a.example:443"]), "listen.hosts[0]: a host is a name without a port"),
    "host with a scheme": (listener(hosts=["https://a.example"]), "listen.hosts[0]: a host is a name, not a URL"),
    "host in upper case": (listener(hosts=["A.example"]), "listen.hosts[0]: not a host name"),
    "host with an inner wildcard": (listener(hosts=["a.*.example"]), "listen.hosts[0]: not a host name"),
    "no host": (listener(hosts=[]), "listen.hosts: no host is accepted"),
    "address taken twice": (
        {"listeners": {"a": {"address": "127.0.0.1:81"}, "b": {"address": "127.0.0.1:81"}}},
        "listeners.b.address: 127.0.0.1:81 is taken by another listener",
    ),
    "admin's address taken": (listener(address="127.0.0.1:9901"), "admin.address: 127.0.0.1:9901 is taken by another listener"),
    "admin off loopback": ({"admin": {"address": "0.0.0.0:9901"}}, "warning: admin.address: health and metrics are open"),
    "admin at no address": ({"admin": {"address": "x"}}, "admin.address: an address is written like"),
    # authentication
    "audience waived": (issuer(audience="none"), "warning: authentication.jwt.corp.audience: audience waived"),
    "issuer waived": (issuer(issuer="none"), "warning: authentication.jwt.corp.issuer: issuer waived"),
    "tokens for ever": (issuer(required_claims=[]), "warning: authentication.jwt.corp.required_claims: tokens that never expire"),
    "minutes of leeway": (issuer(leeway="5m"), "warning: authentication.jwt.corp.leeway: expired tokens live on"),
    "private key set": (
        issuer(jwks={"url": "https://10.0.0.1/jwks"}),
        "authentication.jwt.corp.jwks.url: 10.0.0.1 is not a public",
    ),
    "key set on localhost": (
        issuer(jwks={"url": "https://localhost./k"}),
        "authentication.jwt.corp.jwks.url: localhost is a private",
    ),
    "key set in the metadata service": (
        issuer(jwks={"url": "https://[::ffff:169.254.169.254]/jwks"}),
        "authentication.jwt.corp.jwks.url: ::ffff:a9fe:a9fe is not a public",
    ),
    "issuer twice": (
        {"authentication": {"jwt": {"other": JWT}}},
        "authentication.jwt.other.issuer: two entries have the same issuer",
    ),
    "certificates that cannot arrive": (
        {"authentication": {"mtls": {}}} | route(authenticate=["mtls"]),
        "routes[0].authenticate[0]: no listener of this route asks for client certificates",
    ),
    "certificates that arrive elsewhere": (
        {
            "authentication": {"mtls": {}},
            "listeners": {"a": {"address": "127.0.0.1:1", "tls": TLS | {"client_auth": "require", "client_ca": "/x"}}, "b": {}},
        }
        | route(authenticate=["mtls"], match={"path": "/r", "listeners": ["b"]}),
        "routes[0].authenticate[0]: no listener of this route asks for client certificates",
    ),
    "keys in Authorization": (
        {"authentication": {"api_keys": {"header": "Authorization", "file": "/x", "pepper": {"env": "P"}}}},
        "authentication.api_keys.header: is a header with a meaning of its own",
    ),
    # credentials
    "credential as Host": (
        {"credentials": {"c": {"inject": "header", "name": "Host", "secret": {"env": "A"}}}},
        "credentials.c.name: only the gateway itself sets this header",
    ),
    "credential as X_Forwarded.For": (
        {"credentials": {"c": {"inject": "header", "name": "X_Forwarded.For", "secret": {"env": "A"}}}},
        "credentials.c.name: only the gateway itself sets this header",
    ),
    "credential in the query": (
        {"credentials": {"c": {"inject": "query", "name": "k", "secret": {"env": "A"}}}},
        "warning: credentials.c.inject: a credential in the query",
    ),
    # upstreams
    "longest ejection shorter than the first": (
        upstream(url="https://a.example", outlier_detection={"base_ejection_time": "5m"}),
        "upstreams.github.outlier_detection: `base_ejection_time` is longer than `max_ejection_time`",
    ),
    "longest open time shorter than the first": (
        upstream(url="https://a.example", circuit_breaker={"base_open_time": "5m"}),
        "upstreams.github.circuit_breaker: `base_open_time` is longer than `max_open_time`",
    ),
    "statuses the wrong way round": (
        upstream(url="https://a.example", health_check={"path": "/h", "expected_statuses": ["200", "299-200"]}),
        "upstreams.github.health_check.expected_statuses[1]: 299-200 is no range",
    ),
    "ejection of the only address": (
        upstream(url="https://192.0.2.1", allow_private=True, outlier_detection={"consecutive_failures": 3}),
        "warning: upstreams.github.outlier_detection: has no effect: there is only one address",
    ),
    # routes
    "nobody said who": (route(authenticate=None), "routes[0]: exactly one of `authenticate` and `anonymous: true`"),
    "everybody and somebody": (route(anonymous=True), "routes[0].anonymous: `authenticate` and `anonymous: true` exclude"),
    "everybody uses the credential": (
        {"credentials": {"c": {"inject": "bearer", "secret": {"env": "A"}}}}
        | route(authenticate=None, anonymous=True, credential="c"),
        "warning: routes[0].anonymous: everybody may use the upstream's credential",
    ),
    "name twice": ({"routes": SOUND["routes"] * 2}, "routes[1].name: route name 'r' is used twice"),
    "pattern of no parameter": (route(params={"idd": "x"}), "routes[0].params.idd: the path has no parameter 'idd'"),
    "no regular expression": (route(params={"id": "("}), "routes[0].params.id: not a regular expression"),
    "runaway expression": (route(params={"id": "(a+)+"}), "routes[0].params.id: repetitions inside repetitions"),
    "slash in no parameter": (route(allow_encoded_slash=["x"]), "routes[0].allow_encoded_slash[0]: the path has no parameter 'x'"),
    "prefix of something else": (route(rewrite={"strip_prefix": "/x"}), "routes[0].rewrite.strip_prefix: is not a prefix"),
    "prefix inside a segment": (
        route(match={"path": "/api/x"}, rewrite={"strip_prefix": "/ap"}),
        "routes[0].rewrite.strip_prefix: is not a prefix of the route's path, segment by segment",
    ),
    "prefix with a parameter": (route(rewrite={"strip_prefix": "/r/{id}"}), "routes[0].rewrite.strip_prefix: a prefix is literal"),
    "prefix that ends with a slash": (
        route(rewrite={"strip_prefix": "/r/"}),
        "routes[0].rewrite.strip_prefix: a prefix is literal",
    ),
    "portal claimed": (route(match={"path": "/.gateway/**"}), "routes[0].match.path: /.gateway is reserved"),
    "moved portal claimed": (
        {"portal": {"prefix": "/own"}} | route(match={"path": "/own"}),
        "routes[0].match.path: /own is reserved",
    ),
    "security.txt claimed": (
        route(match={"path": "/.well-known/security.txt"}),
        "routes[0].match.path: /.well-known/security.txt is reserved",
    ),
    "metadata claimed": (
        route(match={"path": "/.well-known/oauth-protected-resource/x"}),
        "routes[0].match.path: /.well-known/oauth-protected-resource is reserved",
    ),
    "route's host with a port": (
        route(match={"path": "/r", "host": "a:1"}),
        "routes[0].match.host: a host is a name without a port",
    ),
    "no methods": (route(match={"path": "/r", "methods": []}), "routes[0].match.methods: matches nothing"),
    "no content types": (route(validate={"content_types": []}), "routes[0].validate.content_types: accepts no body"),
    "no media type": (route(validate={"content_types": ["json"]}), "routes[0].validate.content_types[0]: a media type is written"),
    # limits
    "default by subject": (
        {"rate_limits": {"default": ["l"], "rules": {"l": {"key": ["route", "subject"], "limit": "1/minute"}}}},
        "rate_limits.default[0]: 'l' is keyed by subject",
    ),
    "subject of nobody": (
        limited(["l"]) | {"routes": [SOUND["routes"][0] | {"authenticate": None, "anonymous": True, "rate_limits": ["l"]}]},
        "warning: routes[0].rate_limits[0]: 'l' is keyed by subject, and everybody is anonymous",
    ),
    "key twice": (limited(["l"], key=["route", "route"]), "rate_limits.rules.l.key: a key is named twice"),
    "one quota for all": (limited(["l"], key="route"), "warning: rate_limits.rules.l.key: everybody shares one quota"),
    "no methods counted": (limited(["l"], methods=[]), "rate_limits.rules.l.methods: counts nothing"),
    "burst without effect": (limited(["l"], burst=5), "warning: rate_limits.rules.l.burst: has no effect"),
    "default named again": (
        {"rate_limits": {"default": ["l"], "rules": {"l": {"key": "client.address", "limit": "1/minute"}}}}
        | route(rate_limits=["l"]),
        "warning: routes[0].rate_limits[0]: 'l' is a default rule",
    ),
    # CORS
    "sockets for every page": (route(websocket={"origins": ["*"]}), 'routes[0].websocket.origins[0]: "*" is refused on a route'),
    "sockets for a path": (route(websocket={"origins": ["https://a.example/"]}), "routes[0].websocket.origins[0]: not an origin"),
    "sockets without GET": (
        route(websocket=True, match={"path": "/r/{id}", "methods": ["POST"]}),
        "routes[0].match.methods: a WebSocket begins with a GET",
    ),
    "sockets over HTTP/2": (
        route(websocket=True) | {"upstreams": {"github": {"http2": True}}},
        "routes[0].websocket: the upstream speaks HTTP/2",
    ),
    "streams over HTTP/1.1": ({"upstreams": {"github": {"streams": 5}}}, "warning: upstreams.github.streams: has no effect"),
    "credentials for everybody": (cors(origins=["*"], credentials=True), 'cors.app.origins[0]: "*" is refused together'),
    "origin with a path": (cors(origins=["https://a.example/"]), "cors.app.origins[0]: not an origin"),
    "origin in upper case": (cors(origins=["https://A.example"]), "cors.app.origins[0]: not an origin"),
    "origin without a scheme": (cors(origins=["a.example"]), "cors.app.origins[0]: not an origin"),
    "origin with port 0": (cors(origins=["https://a.example:0"]), "cors.app.origins[0]: not an origin"),
    "origin with a port written long": (cors(origins=["https://a.example:0443"]), "cors.app.origins[0]: not an origin"),
    "wildcard for an app": (cors(origins=["capacitor://*.a.example"]), "cors.app.origins[0]: a wildcard stands for"),
    "wildcard for a top-level domain with a dot": (cors(origins=["https://*.com."]), "cors.app.origins[0]: a wildcard stands for"),
    "origin null": (cors(origins=["null"]), "cors.app.origins[0]: the origin null"),
    "origin with the default port": (cors(origins=["https://a.example:443"]), "cors.app.origins[0]: browsers leave out"),
    "wildcard for http": (cors(origins=["http://*.a.example"]), "cors.app.origins[0]: a wildcard stands for"),
    "wildcard for a top-level domain": (cors(origins=["https://*.com"]), "cors.app.origins[0]: a wildcard stands for"),
    "wildcard inside a label": (cors(origins=["https://a*.example.com"]), "cors.app.origins[0]: not an origin"),
    "expression for an origin": (cors(origins=[r"https://.*\.a\.example"]), "cors.app.origins[0]: not an origin"),
    "credentials over http": (
        cors(origins=["http://a.example"], credentials=True),
        "warning: cors.app.origins[0]: credentials for an http origin",
    ),
    "any header with credentials": (cors(headers=["*"], credentials=True), 'cors.app.headers: "*" is refused'),
    "no method": (cors(methods=[]), "cors.app.methods: allows nothing"),
    # upstreams
    "neither url nor targets": (upstream(url=None), "upstreams.github: give exactly one of url and targets"),
    "both url and targets": (upstream(targets=["https://b.example"]), "upstreams.github: give exactly one of url and targets"),
    "plain http": (upstream(url="http://api.example.com"), "upstreams.github.url: http:// carries credentials readable by all"),
    "private target": (upstream(url="https://192.168.0.1"), "upstreams.github.url: 192.168.0.1 is not a public address"),
    "one private target of two": (
        upstream(url=None, targets=["https://a.example", "https://[::1]"]),
        "upstreams.github.targets[1]: ::1 is not a public address",
    ),
    "user in an upstream's URL": (upstream(url="https://a:b@a.example"), "upstreams.github.url: an upstream's URL carries no user"),
    "half a client certificate": (
        upstream(tls={"client_certificate": "/x"}),
        "upstreams.github.tls: `client_certificate` and `client_key` belong together",
    ),
    "TLS for plain HTTP": (
        upstream(url="http://a.example", allow_plaintext=True, tls={"ca": "/x"}),
        "warning: upstreams.github.tls: has no effect",
    ),
    "header of the gateway's": (upstream(headers={"set": {"Host": "x"}}), "upstreams.github.headers:"),
    "credential in a fixed header": (
        upstream(headers={"set": {"X-Api-Key": "x"}}),
        "warning: upstreams.github.headers.set.X-Api-Key: looks like a credential, written out",
    ),
    # URLs
    "user in an exporter's URL": (
        {"telemetry": {"traces": {"otlp": "http://a:b@c:4318"}}},
        "telemetry.traces.otlp: a URL must not carry a user name or password",
    ),
    "user in the store's URL": (
        {"rate_limits": {"store": {"redis": {"url": "redis://:pw@r:6379"}}}},
        "rate_limits.store.redis.url: a URL must not carry",
    ),
    "exporter that is no URL": ({"telemetry": {"metrics": {"otlp": "c:4318"}}}, "telemetry.metrics.otlp: a URL is needed here"),
    "store that is no URL": (
        {"rate_limits": {"store": {"redis": {"url": "http://r"}}}},
        "rate_limits.store.redis.url: a URL is needed",
    ),
    # files
    "file that is absent": (listener(tls=TLS | {"certificate": "/absent"}), "listen.tls.certificate: no such file"),
    "policies that are absent": ({"policies": "/absent"}, "policies: no such file or folder"),
    "audit folder that is absent": (
        {"audit": {"file": "/absent/audit"}},
        "audit.file: the folder for the audit trail does not exist",
    ),
    "keys that are not there yet": (
        {"authentication": {"api_keys": {"file": "/absent", "pepper": {"env": "P"}}}},
        "warning: authentication.api_keys.file: the file does not exist yet",
    ),
    # leftovers
    "no routes": ({"routes": []}, "warning: routes: no routes"),
    "no policies": ({"policies": []}, "warning: policies: no policies"),
    "unused upstream": (
        {"upstreams": {"u": {"url": "https://u.example"}}},
        "warning: upstreams.u: upstream 'u' is used by nothing",
    ),
    "unused credential": (
        {"credentials": {"c": {"inject": "bearer", "secret": {"env": "A"}}}},
        "warning: credentials.c: credential 'c' is used by nothing",
    ),
    "unused CORS policy": ({"cors": {"c": {"origins": ["*"]}}}, "warning: cors.c: CORS policy 'c' is used by nothing"),
    "unused rate limit": (limited([]), "warning: rate_limits.rules.l: rate limit 'l' is used by nothing"),
    "unused scheme": ({"authentication": {"mtls": {}}}, "warning: authentication.mtls: no route accepts 'mtls'"),
    "unused issuer": (
        {"authentication": {"jwt": {"b": JWT | {"issuer": "https://b.example"}}}},
        "warning: authentication.jwt.b: no route accepts 'jwt.b'",
    ),
}


@pytest.mark.parametrize(("overlay", "finding"), BROKEN.values(), ids=BROKEN.keys())
def test_what_breaks_a_rule_is_found(overlay: Any, finding: str) -> None:
    assert any(line.startswith(finding) for line in told(overlay)), told(overlay)


def test_what_breaks_no_rule_is_left_alone() -> None:
    assert told({}) == []


FINE: dict[str, Any] = {
    "plaintext behind a proxy": listener(
        address="0.0.0.0:80", hosts=["a"], trusted_proxies=["10.0.0.1"], client_address="forwarded"
    ),
    "plaintext behind a load balancer": listener(address="0.0.0.0:80", hosts=["a"], proxy_protocol={"from": ["10.0.0.1"]}),
    "load balancers on a unix socket": listener(address="unix:/x", proxy_protocol={}),
    "TLS off loopback": listener(address="[::]:443", hosts=["*.a.example", "192.0.2.1", "[2001:db8::1]"], tls=TLS),
    "redirect": listener(tls=TLS, redirect_http="127.0.0.1:81"),
    "header believed on a unix socket": listener(address="unix:/x", client_address="x-forwarded-for", client_certificate="xfcc"),
    "certificate from a proxy that has one": listener(
        trusted_proxies=["10.0.0.1"],
        client_address="forwarded",
        client_certificate="client-cert",
        tls=TLS | {"client_ca": "/dev/null", "client_auth": "require"},
    ),
    "any free ports": {"listeners": {"a": {"address": "127.0.0.1:0"}, "b": {"address": "127.0.0.1:0"}}},
    "private key set that is meant": issuer(jwks={"url": "https://10.0.0.1/jwks", "allow_private": True}),
    "private upstream of ours": upstream(url="https://10.0.0.1", internal=True),
    "plain upstream that is meant": upstream(url="http://a.example", allow_plaintext=True),
    "whole path stripped": route(match={"path": "/r"}, rewrite={"strip_prefix": "/r"}),
    "beside the portal": route(match={"path": "/.gatewayed"}),
    "wildcard origin": cors(
        origins=["https://*.example.com", "https://a.example:8443", "http://localhost:3000", "capacitor://app"]
    ),
    "everybody's origin": cors(origins=["*"]),
    "everybody's socket": {
        "routes": [*SOUND["routes"], {**PUBLIC, "websocket": {"origins": ["*"]}}],
    },
    "a socket": route(websocket=True, match={"path": "/r/{id}", "methods": ["GET", "POST"]}),
    "multiplexed upstream": {"upstreams": {"github": {"http2": True, "streams": 5}}},
    "exporters": {"telemetry": {"traces": {"otlp": "http://127.0.0.1:4318"}}},
    "at sign in a path": {"telemetry": {"traces": {"otlp": "http://127.0.0.1:4318/a@b"}}},
    "certificates": {
        "authentication": {"mtls": {}},
        "listen": {"tls": TLS | {"client_ca": "/dev/null", "client_auth": "optional"}},
    }
    | route(authenticate=["mtls", "jwt.corp"]),
}


@pytest.mark.parametrize("overlay", FINE.values(), ids=FINE.keys())
def test_what_is_allowed_is_not_complained_about(overlay: Any) -> None:
    assert told(overlay) == []


def test_a_finding_says_where_and_what_to_write() -> None:
    [problem] = found(route(upstream="gihub"))[:1]
    assert problem.hint == "did you mean 'github'?"
    assert problem.line > 1


@pytest.mark.parametrize(
    "section", ["listen", "authentication", "upstreams", "routes", "rate_limits", "cors", "credentials", "portal", "admin"]
)
@pytest.mark.parametrize("value", [None, 5, "x", [], {}, [5], {"a": 5}, [[]], {"a": [{}]}, {"a": {"a": {"a": 5}}}], ids=repr)
def test_rules_run_on_whatever_a_section_holds(section: str, value: Any) -> None:
    text = json.dumps(SOUND | {section: value})
    assert isinstance(list(rules.check(Layers([read("f", text)]))), list)


KEYS = st.sampled_from(
    ["listen", "listeners", "a", "tls", "routes", "match", "path", "upstream", "authenticate", "params", "rate_limits", "rules", "cors", "origins",
     "rewrite", "strip_prefix", "authentication", "jwt", "mtls", "policies", "upstreams", "url", "targets", "credentials", "default", "audit", "file"]
)  # fmt: skip
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["a", "jwt.a", "/a", "*", "https://a", "{", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, JUNK, max_size=6))
@example({"routes": [{"upstream": [], "cors": {}, "credential": [], "rate_limits": [[], {}], "authenticate": [{}], "name": []}]})
@example({"rate_limits": {"default": [[], {}], "rules": {"a": []}}, "upstreams": {"a": {"credential": []}}, "routes": [{"a": 1}]})
@hypothesis_settings(max_examples=300, deadline=None)
def test_rules_never_raise(value: Any) -> None:
    problems = list(rules.check(Layers([read("f", json.dumps(value))])))
    assert all(problem.message and problem.line >= 1 for problem in problems)


@pytest.mark.parametrize(
    "expression",
    ["(a+)+", "(a*)*", "(a|b)*", "(?:a+){2,}", "(?P<n>a+)*", "((a+)b)*", "(a{1,})+", "([a-z]+-)*x", "a*a*a*b", ".*.*.*=", "(a)\\1", "(?P<a>x)(?P=a)",
     "a{0,5000}(b{300}c*)*", "x" * 257, "[", "(?<=a*)b", "*", "(((a+)))+"],
)  # fmt: skip
def test_an_expression_that_could_run_away_is_refused(expression: str) -> None:
    assert judged_expression(expression) is not None


@pytest.mark.parametrize(
    "expression",
    [
        "[A-Za-z0-9_-]{1,39}",
        "[0-9]+",
        "(a|b|c)",
        "v[0-9]+(\\.[0-9]+)?",
        "(?:[a-z]{1,8}-){2}x",
        "[^/+*(]{1,64}",
        "\\(\\+\\)",
        "(?i:abc)",
        "[]a]+",
        "[\\]+]*",
        "",
    ],
)
def test_an_expression_that_cannot_run_away_is_accepted(expression: str) -> None:
    assert judged_expression(expression) is None


@given(st.text("ab()[]{}|*+?.\\^$,0123:<=!-P", max_size=24))
@hypothesis_settings(max_examples=500, deadline=None)
def test_whatever_is_written_is_an_expression_or_refused(text: str) -> None:
    verdict = judged_expression(text)
    assert verdict is None or verdict[0]


def test_accepted_expressions_match_long_hostile_input_in_bounded_time() -> None:
    """In a process of its own, so that one that runs away can be ended."""
    program = (
        "import re\nfor e in ('[a-z]*[a-z]*x', '(?:[a-z]{1,8}-){2}x', 'v[0-9]+(\\\\.[0-9]+)?'): re.compile(e).fullmatch('a' * 4096)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


def test_the_folder_of_policies_must_hold_some(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x")
    assert told({"policies": str(tmp_path)}) == ["warning: policies: the folder holds no policies: every request is denied"]


SIGV4 = {"inject": "sigv4", "region": "eu-west-1", "service": "s3", "access_key_id": "a", "secret_access_key": {"env": "A"}}


def signing(upstream: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"credentials": {"aws": SIGV4 | keys}, "upstreams": {"github": {"credential": "aws", **upstream}}}


@pytest.mark.parametrize(
    ("overlay", "finding"),
    [
        (signing({}), None),
        (signing({"preserve_host": True}), "keeps the client's"),
        (signing({"url": None, "targets": ["https://a.example", "https://b.example"]}), "has several targets"),
        (signing({"url": "http://a.example"}, unsigned_payload=True), "unsigned bodies go over TLS only"),
        (signing({}, inject="signed_jwt"), "a signed JWT tells who is asking"),
        (signing({"internal": True}, inject="signed_jwt"), None),
        (signing({"credential": None, "preserve_host": True}) | route(credential="aws"), "keeps the client's"),
    ],
    ids=["sound", "host", "targets", "plaintext", "identity", "internal", "by route"],
)
def test_a_signature_is_for_one_host_and_for_the_body_that_is_sent(overlay: Any, finding: str | None) -> None:
    found = [line for line in told(overlay) if "sign" in line and not line.startswith("warning: ")]
    assert len(found) == (finding is not None)
    assert all(str(finding) in line for line in found)


GRANTS = {name: {"inject": "grant", "provider": name} for name in ("github", "gitlab")} | {
    "bot": {"inject": "bearer", "secret": {"env": "A"}}
}


@pytest.mark.parametrize(
    ("credential", "inherited", "finding"),
    [
        ("github", None, None),
        (None, "github", None),
        (["github", "bot"], None, None),
        ("bot", "github", "sends no principal's grant"),
        (None, None, "sends no principal's grant"),
        (["github", "gitlab"], None, "at several providers: github, gitlab"),
    ],
    ids=["own", "inherited", "fallback", "no grant", "no credential", "two providers"],
)
def test_scopes_are_asked_of_grants_at_one_provider(credential: Any, inherited: Any, finding: str | None) -> None:
    overlay = {"credentials": GRANTS, "upstreams": {"github": {"credential": inherited}}}
    found = [line for line in told(overlay | route(credential=credential, requires_scopes=["repo"])) if "requires_scopes" in line]
    assert len(found) == (finding is not None)
    assert all(str(finding) in line for line in found)
    assert not [line for line in told(overlay | route(credential=credential)) if "requires_scopes" in line]


CAPTURE = {"spend_with": "minted", "fields": ["/token"]}
AWS = {"spend_with": "minted", "aws_keys": ["/R/Credentials"]}
SIGNED: dict[str, Any] = {"minted": {"inject": "captured_keys", "regions": ["eu-west-1"], "services": ["s3"]}}
MINTED: dict[str, Any] = {"minted": {"inject": "captured", "sent_in": "X-Upstream-Authorization"}}


@pytest.mark.parametrize(
    ("credentials", "more", "finding"),
    [
        (MINTED, {"capture": CAPTURE}, None),
        ({}, {"capture": CAPTURE}, "no credential 'minted' opens placeholders"),
        (
            {"minted": {"inject": "bearer", "secret": {"env": "T"}}},
            {"capture": CAPTURE},
            "no credential 'minted' opens placeholders",
        ),
        (MINTED, {"capture": CAPTURE, "anonymous": True}, "a placeholder is for one principal"),
        (MINTED, {"capture": CAPTURE, "websocket": True}, "nothing is captured from a WebSocket"),
        (MINTED, {"credential": "minted"}, None),
        ({"minted": {"inject": "captured"}}, {"credential": "minted"}, "so would the placeholder for 'minted'"),
        ({"minted": {"inject": "captured", "header": "X-Key"}}, {"credential": "minted"}, None),
        ({"minted": {"inject": "captured", "sent_in": "AUTHORIZATION"}}, {"credential": ["minted"]}, "so would the placeholder"),
        ({"minted": {"inject": "captured"}}, {"credential": "minted", "authenticate": ["api_keys"]}, None),
        (SIGNED, {"capture": AWS}, None),
        (SIGNED, {"capture": CAPTURE}, "no credential 'minted' opens placeholders"),
        (MINTED, {"capture": AWS}, "no credential 'minted' opens placeholders"),
        (SIGNED, {"credential": "minted"}, "so would the placeholder for 'minted'"),
        (SIGNED, {"credential": "minted", "authenticate": ["api_keys", "mtls"]}, None),
        (SIGNED, {"credential": "minted", "authenticate": ["api_keys", "jwt.corp"]}, "so would the placeholder for 'minted'"),
        ({"minted": {"inject": "captured", "header": "Forwarded"}}, {}, "only the gateway itself sets this header"),
        ({"minted": {"inject": "captured", "sent_in": "Host"}}, {}, "only the gateway itself sets this header"),
    ],
)
def test_placeholders_are_made_for_somebody_and_have_a_way_in(credentials: Any, more: Any, finding: str | None) -> None:
    words = ("placeholder", "captured from", "only the gateway itself")
    found = [line for line in told({"credentials": credentials} | route(**more)) if any(word in line for word in words)]
    assert len(found) == (finding is not None), found
    assert all(str(finding) in line for line in found)


@pytest.mark.parametrize(
    ("header", "scheme", "count"), [("X-Key", "api_keys", 0), ("authoriZation", "api_keys", 1), ("Authorization", "mtls", 0)]
)
def test_api_keys_in_authorization_leave_no_place_for_a_placeholder(header: str, scheme: str, count: int) -> None:
    keys = {"api_keys": {"file": "keys.yaml", "pepper": {"env": "P"}, "header": header}}
    overlay = {"credentials": SIGNED, "authentication": keys} | route(credential="minted", authenticate=[scheme])
    assert sum("so would the placeholder for 'minted'" in line for line in told(overlay)) == count


SHOWN = {
    "ci": {"inject": "mtls", "certificate": __file__, "key": {"env": "A"}},
    "bot": {"inject": "bearer", "secret": {"env": "A"}},
}


@pytest.mark.parametrize(
    ("credential", "upstream", "finding"),
    [
        ("ci", {}, None),
        (None, {"credential": "ci"}, None),
        (["ci", "bot"], {}, "routes.0.credential: 'ci' is a client certificate and stands alone"),
        (["bot", "ci"], {}, "routes.0.credential: 'ci' is a client certificate and stands alone"),
        (None, {"credential": ["bot", "ci"]}, "upstreams.github.credential: 'ci' is a client certificate and stands alone"),
        ("ci", {"url": "http://api.example.com"}, "routes.0.credential: a client certificate is shown over TLS only"),
    ],
    ids=["own", "inherited", "first of a list", "last of a list", "list of the upstream", "plain HTTP"],
)
def test_a_client_certificate_stands_alone_and_goes_over_tls(credential: Any, upstream: Any, finding: str | None) -> None:
    overlay = {"credentials": SHOWN, "upstreams": {"github": upstream}}
    found = [line for line in told(overlay | route(credential=credential)) if "client certificate" in line]
    assert len(found) == (finding is not None)
    assert all(line.replace("[0]", ".0").startswith(str(finding)) for line in found)
