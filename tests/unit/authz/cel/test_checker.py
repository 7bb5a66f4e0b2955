"""Names and types, checked at load."""

import pytest

from gateway.authz.attributes import BINDINGS, POLICIES
from gateway.authz.cel.condition import clause
from gateway.authz.cel.errors import CelError


@pytest.mark.parametrize(
    ("source", "offset", "message", "hint"),
    [
        ("request.methd == 'GET'", 8, "'methd' is not a field of request", "did you mean 'method'?"),
        ("requst.method == 'GET'", 0, "unknown name 'requst'", "did you mean 'request'?"),
        ("subject == 'alice'", 0, "'subject' is not a value", "fields: claims"),
        ("zz", 0, "unknown name 'zz'", "known: env, request"),
        ("request.method == 1", 15, "cannot compare string with int", ""),
        ("request.method == null", 15, "cannot compare string with null", ""),
        ("1 == 1.0", 2, "cannot compare int with double", ""),
        ("subject.roles == ['a'] && subject.roles == [1]", 40, "cannot compare list\\(string\\) with list\\(int\\)", ""),
        ("size(subject.roles) > 'a'", 20, "cannot order int and string", ""),
        ("subject.roles < subject.groups", 14, "cannot order", ""),
        ("1 < 2.5", 2, "cannot order int and double", ""),
        ("null < null", 5, "cannot order", ""),
        ("'x' in request.method", 7, "'in' needs a list or a map, found string", "contains"),
        ("1 in subject.roles", 2, "int can never be in list\\(string\\)", ""),
        ("1 in subject.claims", 2, "int can never be in map", ""),
        ("request.method", 0, "a condition must be a bool, this is string", ""),
        ("!request.method", 1, "'!' needs a bool, found string", ""),
        ("true && 1", 8, "'&&' needs a bool, found int", ""),
        ("'a' ? true : false", 0, "'\\?' needs a bool", ""),
        ("(true ? 1 : 'a') == 1", 12, "of one type, found int and string", ""),
        ("subject.id.x == 1", 11, "string has no fields", ""),
        ("subject.roles.x == 1", 14, "list\\(string\\) has no fields", ""),
        ("subject.roles['a'] == 'b'", 14, "has no fields", ""),
        ("subject.roles[true] == 'b'", 14, "no key of type bool", ""),
        ("subject.id[0] == 'a'", 0, "cannot index string", ""),
        ("has(subject.id)", 4, "always there", ""),
        ("has(subject.claims)", 4, "always there", ""),
        ("has(subject)", 4, "needs a field", "for instance"),
        ("has(subject.claims.a, 1)", 0, "takes 1 argument, found 2", ""),
        ("has(subject.claims[subject.id])", 4, "needs a field", ""),
        ("startsWith(subject.id, 'a')", 0, "not called this way", "write x.startsWith"),
        ("subject.id.cidr()", 11, "not called this way", "write cidr"),
        ("subject.id.startsWith()", 11, "takes 1 argument, found 0", ""),
        ("subject.id.startsWith(1)", 22, "needs string, found int", ""),
        ("subject.roles.contains('a')", 0, "needs string, found list", ""),
        ("size(1) == 1", 5, "needs list or map or string, found int", ""),
        ("subject.id.matches(request.method)", 19, "needs a literal", ""),
        ("subject.id.matches('(')", 19, "missing \\)", ""),
        ("subject.id.matches('a(?=b)')", 19, "invalid perl operator", ""),
        ("subject.id.matches('(a{1,500}){2}')", 19, "too large|bad repetition", ""),
        ("within(env.now, 'x', 'UTC')", 16, "is no window", ""),
        ("within(env.now, 'Mon', 'Nowhere/City')", 23, "unknown time zone", ""),
        ("within(env.now, 'Mon', subject.id)", 23, "needs a literal", ""),
        ("env.now.getHours('Middle/Earth') == 1", 17, "unknown time zone", ""),
        ("env.now.getHours(subject.id) == 1", 17, "needs a literal", ""),
        ("env.now.getHours('../../etc/passwd') == 1", 17, "is no time zone", ""),
        ("glob(resource.path, 'a**/b')", 20, "'\\*\\*' stands between slashes", ""),
        ("glob(resource.path, subject.id)", 20, "needs a literal", ""),
        ("int('x') == 1", 4, "int\\(\\): not an int", ""),
        ("int(' 5') == 1", 4, "int\\(\\): not an int", ""),
        ("string(1.5) == '1.5'", 7, "needs bool or cidr or int or ip or string, found double", ""),
        ("uint(1) == 1", 0, "outside the subset", ""),
        ("type(1) == 1", 0, "outside the subset", ""),
        ("subject.id.reverse() == 'a'", 11, "outside the subset", ""),
        ("subject.roles.exists(r, r == 1)", 26, "cannot compare string with int", ""),
        ("subject.roles.exists(r == 'a')", 14, "takes 2 arguments, found 1", ""),
        ("subject.roles.exists(r.x, true)", 21, "needs a plain name", ""),
        ("subject.roles.exists(subject, true)", 21, "is a name of the language", ""),
        ("subject.roles.exists(size, true)", 21, "is a function", ""),
        ("subject.roles.exists(r, subject.groups.exists(r, true))", 46, "means something else here", ""),
        ("subject.roles.exists(r, r)", 24, "needs a bool, found string", ""),
        ("subject.roles.map(r, r)", 0, "a condition must be a bool, this is list\\(string\\)", ""),
        ("subject.id.exists(c, c == 'a')", 0, "goes through a list or the keys of a map, found string", ""),
        ("exists(subject.roles, r, true)", 0, "not called this way", "write list.exists"),
        ("r == 'a' && subject.roles.exists(r, true)", 0, "unknown name 'r'", ""),
        ("[1].all(a, [1].all(b, [1].all(c, a == c)))", 0, "macros may stand 2 deep", ""),
        ("sizze(subject.id) == 1", 0, "unknown function 'sizze'", "did you mean 'size'?"),
        ("__import__('os') == 1", 0, "unknown function", ""),
        ("1 + 1.0 == 2", 2, "'\\+' is not there for int and double", "convert"),
        ("subject.id + 1 == 'a'", 11, "'\\+' is not there for string and int", ""),
        ("1 - '1' == 0", 2, "is not there", ""),
        ("2.0 % 2.0 == 0.0", 4, "is not there", ""),
        ("env.now + env.now == env.now", 8, "is not there for timestamp and timestamp", ""),
        ("duration('1s') * 2 == duration('2s')", 15, "is not there for duration and int", ""),
        ("-subject.id == 'a'", 0, "'-' needs a number, found string", ""),
        ("-true", 0, "'-' needs a number, found bool", ""),
        ("!-1", 0, "'!' needs a bool", ""),
        ("1 / 0 == 1", 2, "divided by zero", ""),
        ("subject.claims.n == 9223372036854775807 + 1", 40, "integer overflow", ""),
        ("duration('1d') < duration('1s')", 9, "written like", ""),
        ("env.now - duration('400000h') < env.now || duration('10000000h') > duration('0')", 52, "292 years", ""),
        ("timestamp('9999-12-31T23:59:59Z') + duration('1s') > env.now", 34, "years 1 to 9999", ""),
        ("'abc'.substring(4) == ''", 0, "outside the string", ""),
        ("'abc'.charAt(-1) == ''", 0, "outside the string", ""),
        ("cidr('10.0.0.1/8').containsIP(request.client_ip)", 5, "host bits set", ""),
        ("cidr('10.0.0.0').containsIP(request.client_ip)", 5, "written like", ""),
        ("cidr('10.0.0.0/33').containsIP(request.client_ip)", 5, "cidr\\(\\)", ""),
        ("cidr('10.0.0.0/255.0.0.0').containsIP(request.client_ip)", 5, "written like", ""),
        ("cidr('::ffff:10.0.0.0/104').containsIP(request.client_ip)", 5, "IPv4-mapped", ""),
        ("subject.id.ip() == ip('10.0.0.1')", 0, "needs cidr, found string", ""),
        ("ip('10.0.0.1/8') == ip('10.0.0.1')", 3, "is not an IP address", ""),
        ("cidr('fe80::%1/64').containsIP(request.client_ip)", 5, "written like", ""),
        ("cidr(1).containsIP(request.client_ip)", 5, "needs string, found int", ""),
        ("cidr('10.0.0.0/8') == cidr('10.0.0.0/8') && true || cidr('::/0')", 52, "needs a bool, found cidr", ""),
        ("timestamp('yesterday') < env.now", 10, "written like", ""),
        ("timestamp('2026-02-30T00:00:00Z') < env.now", 10, "timestamp\\(\\)", ""),
        ("env.now == 1", 8, "cannot compare timestamp with int", ""),
        ("request.headers['X-Role'] == 'a'", 16, "lower-case", "write 'x-role'"),
        ("'X-Role' in request.headers", 0, "lower-case", "write 'x-role'"),
        ("request.headers == subject.claims", 0, "by name only", "for instance"),
        ("size(request.headers) == 1", 5, "by name only", ""),
        ("request.headers[subject.id] == 'a'", 16, "must be written out", ""),
        ("subject.id in request.headers", 0, "must be written out", ""),
        ("{1: 'a'} == subject.claims.x", 1, "string literals", ""),
        ("{'a': 1, 'a': 2} == subject.claims.x", 9, "stands twice", ""),
        ("request.query.a == 'x'", 16, "cannot compare list\\(string\\) with string", ""),
    ],
)
def test_a_mistake_is_refused_at_load_with_its_place(source: str, offset: int, message: str, hint: str) -> None:
    with pytest.raises(CelError, match=message) as caught:
        clause(source, POLICIES)
    assert caught.value.offset == offset
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "source",
    [
        "subject.claims.email_verified",
        "subject.claims.a.b['c'][0] == 1",
        "has(subject.claims['a-b']) && has(subject.claims.a.b)",
        "request.headers['x-role'] == 'a' || request.headers.accept == 'b' || has(request.headers.accept)",
        "'x-role' in request.headers",
        "request.query.tag[0] == 'a' && 'tag' in request.query",
        "subject.claims.level >= 2 && 1.5 < 2.5 && false < true",
        "subject.id in ['a', 'b'] && subject.claims.x in ['a', 1, null]",
        "subject.claims.x == null || subject.claims.x == {'a': [1, subject.id]}",
        "(subject.claims.a ? subject.id : request.host) == 'x'",
        "env.now < timestamp('2030-01-01T00:00:00Z') && timestamp(subject.claims.until) > env.now",
        "size(subject.id) == 1 && subject.roles.size() == 2 && size(subject.claims) == 3",
        "cidr('10.0.0.0/8').containsIP(request.client_ip) || cidr(subject.claims.net).containsIP(subject.claims.ip)",
        "subject.id == 'a' // a comment",
    ],
)
def test_the_subset_is_accepted(source: str) -> None:
    assert clause(source, POLICIES).source == source


@pytest.mark.parametrize(
    "source", ["request.method == 'GET'", "'a' in subject.roles", "env.now > timestamp(0)", "resource.path == '/'"]
)
def test_a_binding_reads_the_identity_only(source: str) -> None:
    with pytest.raises(CelError, match=r"unknown name|not a field"):
        clause(source, BINDINGS)
