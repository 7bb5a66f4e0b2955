"""Files by their bytes, multipart/form-data in its one form, and what a route takes of both."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest
from gateway.core.message import Field
from gateway.edge.magic import KINDS
from gateway.edge.model import Validate
from gateway.edge.multipart import Malformed, boundary, disposition, parts
from gateway.edge.validation import Validation
from tests.fakes import HeldBody, a_request

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" + b"\x00\x00\x00\x00IEND\xaeB`\x82"
PDF = b"%PDF-1.7\n1 0 obj\nendobj\n%%EOF\n"


def zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.txt", "a")
    return made.getvalue()


SAMPLES = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0picture\xff\xd9",
    "image/gif": b"GIF89apicture\x3b",
    "image/webp": b"RIFF\x08\x00\x00\x00WEBPVP8 ",
    "image/bmp": b"BM\x0a\x00\x00\x00pixe",
    "image/tiff": b"II*\x00pixels",
    "application/pdf": PDF,
    "application/zip": zipped(),
    "application/gzip": b"\x1f\x8b\x08\x00x",
    "audio/wav": b"RIFF\x08\x00\x00\x00WAVEfmt ",
    "video/mp4": b"\x00\x00\x00\x18ftypisom",
    "text/plain": "Größe\n".encode(),
    "text/csv": b"a,b\r\n1,2\r\n",
    "application/json": b'{"a": 1}',
}
TEXTS = {"text/plain", "text/csv", "application/json"}


def test_every_kind_is_recognised_and_no_other_takes_it() -> None:
    assert SAMPLES.keys() == KINDS.keys()
    for name, content in SAMPLES.items():
        taken = {kind for kind, check in KINDS.items() if check(content)}
        assert name in taken
        assert taken <= ({name} if name not in TEXTS else TEXTS)


@pytest.mark.parametrize(
    "name", ["image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "application/pdf", "application/zip", "audio/wav"]
)
@pytest.mark.parametrize("tail", [zipped(), b"<script>alert(1)</script>", b"\x00"], ids=["zip", "script", "NUL"])
def test_what_hides_behind_the_end_of_a_file_is_seen(name: str, tail: bytes) -> None:
    assert not KINDS[name](SAMPLES[name] + tail)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_what_stands_before_the_beginning_of_a_file_is_seen(name: str) -> None:
    assert not KINDS[name](b"\x00<!--" + SAMPLES[name])


@given(st.binary(max_size=60))
def test_any_bytes_come_to_an_answer(content: bytes) -> None:
    for check in KINDS.values():
        assert check(content) in (True, False)


def test_text_is_utf_8_without_control_characters() -> None:
    for content in (b"\xff\xfea\x00", b"a\x00", b"\x1b[31m", b"\xef\xbb\xbfa", b"\x85", "\x85".encode()):
        assert not KINDS["text/plain"](content)


def part(name: str, content: bytes, *, file: str | None = None, type: str | None = None, more: str = "") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"' + ("" if file is None else f'; filename="{file}"')
    return f"{head}\r\n{'' if type is None else f'Content-Type: {type}' + chr(13) + chr(10)}{more}\r\n".encode() + content


def form(*pieces: bytes, separator: bytes = b"x") -> bytes:
    return b"".join(b"--" + separator + b"\r\n" + piece + b"\r\n" for piece in pieces) + b"--" + separator + b"--\r\n"


def test_parts_are_read_to_the_byte() -> None:
    content = b"\r\n--y\r\n\x00 binary \r\n-"
    found = parts(form(part("a", b"1"), part("f", content, file="ö.png", type="image/PNG")), b"x", 5)
    assert [(each.name, each.file_name, each.media_type, each.content) for each in found] == [
        ("a", None, "", b"1"),
        ("f", "ö.png", "image/png", content),
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ("Multipart/Form-Data;boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW", b"----WebKitFormBoundary7MA4YWxkTrZu0gW"),
        ('multipart/form-data; boundary="a b:c"', b"a b:c"),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=a; boundary=b", None),
        ("multipart/form-data; boundary=a; charset=utf-8", None),
        ("multipart/form-data; charset=utf-8; boundary=a", None),
        ("multipart/form-data; boundary*=utf-8''a", None),
        ('multipart/form-data; boundary="a ', None),
        ('multipart/form-data; boundary="a "', None),
        ("multipart/form-data; boundary=a,b", None),
        ("multipart/form-data; boundary=" + "a" * 71, None),
        ("multipart/form-data; boundary=\u00e9", None),
        ("multipart/mixed; boundary=a", None),
    ],
)
def test_boundary_is_one_and_plain(value: str, expected: bytes | None) -> None:
    if expected is None:
        with pytest.raises(Malformed):
            boundary(value)
    else:
        assert boundary(value) == expected


GOOD = part("a", b"1")


@pytest.mark.parametrize(
    ("body", "keyword"),
    [
        (b"", "preamble"),
        (b"preamble\r\n" + form(GOOD), "preamble"),
        (b"\r\n" + form(GOOD), "preamble"),
        (b"--x--\r\n", "preamble"),
        (form(GOOD)[:-4], "boundary"),
        (form(GOOD).removesuffix(b"\r\n--x--\r\n"), "end"),
        (form(GOOD) + b"epilogue", "epilogue"),
        (form(GOOD) + b"--x\r\n" + part("b", b"2"), "epilogue"),
        (form(GOOD).replace(b"\r\n", b"\n"), "preamble"),
        (form(GOOD).replace(b"--x\r\n", b"--x \r\n", 1), "preamble"),
        (form(GOOD, GOOD).replace(b"1\r\n--x\r\n", b"1\r\n--x \r\n", 1), "boundary"),
        (form(GOOD, b"Content-Disposition: form-data"), "head"),
        (form(part("a", b"1", more='Content-Disposition: form-data; name="b"\r\n')), "fields"),
        (form(part("a", b"1", more="content-type: text/plain\r\nContent-Type: text/html\r\n")), "fields"),
        (form(part("a", b"1", more="Content-Transfer-Encoding: base64\r\n")), "fields"),
        (form(part("a", b"1", more=" folded: yes\r\n")), "fields"),
        (form(part("a", b"1", more="X: a\nContent-Type: b\r\n")), "fields"),
        (form(part("a", b"1", more="X : a\r\n")), "fields"),
        (form(part("a", b"1", more="X: \xff".encode("latin-1").decode("latin-1") + "a" * 5000 + "\r\n")), "head"),
        (form(b"Content-Type: text/plain\r\n\r\n1"), "fields"),
        (form(b"\r\n1"), "head"),
        (form(b'Content-Disposition: attachment; name="a"\r\n\r\n1'), "disposition"),
        (form(b'Content-Disposition: form-data; filename="a"\r\n\r\n1'), "disposition"),
        (form(b'Content-Disposition: form-data; name="a"; name="b"\r\n\r\n1'), "disposition"),
        (form(b'Content-Disposition: form-data; name="a"; filename="a.png"; filename="b.html"\r\n\r\n1'), "disposition"),
        (form(b"Content-Disposition: form-data; name=\"a\"; filename*=utf-8''b.html\r\n\r\n1"), "disposition"),
        (form(b'Content-Disposition: form-data; name="a"; filename="a.png\\"; x=".html"\r\n\r\n1'), "disposition"),
        (form(b"Content-Disposition: form-data; name=a\r\n\r\n1"), "disposition"),
        (form(b'Content-Disposition: form-data; name="a"; filename=a.png\r\n\r\n1'), "disposition"),
        (form(b'Content-Disposition: form-data; NAME="a"\r\n\r\n1'), "disposition"),
        (form(b'Content-Disposition: form-data; name="_charset_"\r\n\r\nutf-7'), "disposition"),
        (form(*[GOOD] * 6), "parts"),
    ],
)  # fmt: skip
def test_whatever_parsers_read_differently_is_refused(body: bytes, keyword: str) -> None:
    with pytest.raises(Malformed) as refused:
        parts(body, b"x", 5)
    assert str(refused.value) == keyword


@given(st.binary(max_size=120), st.sampled_from([b"", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n']))
def test_any_body_comes_to_an_answer(raw: bytes, begin: bytes) -> None:
    try:
        parts(begin + raw, b"x", 3)
    except Malformed:
        pass
    else:
        assert raw.rstrip(b"\r\n").endswith(b"--x--")


@given(
    st.lists(
        st.tuples(
            st.text("abc", min_size=1, max_size=3),
            st.binary(max_size=30).filter(lambda raw: b"\r\n--x" not in b"\r\n" + raw + b"\r\n"),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_written_is_read(fields: list[tuple[str, bytes]]) -> None:
    found = parts(form(*(part(name, content) for name, content in fields)), b"x", 5)
    assert [(each.name, each.content) for each in found] == fields


@given(st.text(max_size=60))
def test_any_disposition_comes_to_an_answer(value: str) -> None:
    try:
        _, found = disposition(value)
    except Malformed:
        return
    assert all('"' not in text for text in found.values())


async def outcome(body: bytes, type: str, *fields: Field, declared: bool = True, **config: object) -> str:
    """What a route for pictures and PDFs makes of a body."""
    upload = {"types": ["image/png", "application/pdf"], "max_size": "1KiB", "parts": 3, **config}
    stage = Validation(Validate.model_validate({"upload": upload}))
    headers = [(b"content-type", type.encode("latin-1")), *fields]
    try:
        await stage.validate(a_request("POST", headers=headers, body=HeldBody(body, declared=declared)))
    except BadRequest as error:
        found = (error.members or {}).get("errors")
        return str(error.reason) + (f" {found[0]['pointer']} {found[0]['keyword']}" if found else "")
    return "passed"


FORM = "multipart/form-data; boundary=x"


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
async def test_listed_files_pass(declared: bool) -> None:
    assert await outcome(PNG, "image/png", declared=declared) == "passed"
    assert await outcome(PDF, "application/pdf; version=1", (b"content-disposition", b'attachment; filename="a.pdf"')) == "passed"
    assert (
        await outcome(form(part("note", "Größe".encode()), part("f", PNG, file="a.png", type="image/png")), FORM, declared=declared)
        == "passed"
    )
    assert await outcome(form(part("f", b"", file="", type="application/octet-stream")), FORM) == "passed"


@pytest.mark.parametrize(
    ("body", "type", "told"),
    [
        (PDF, "image/png", "body-invalid  content"),
        (PNG, "image/jpeg", "media-type"),
        (PNG, "", "media-type"),
        (b"<svg/>", "image/svg+xml", "media-type"),
        (PNG + b"x" * 1024, "image/png", "body-too-large"),
        (b"x", "multipart/form-data", "body-invalid  boundary"),
        (form(part("f", PNG, file="../a.png", type="image/png")), FORM, "body-invalid /0 filename"),
        (form(part("f", PNG, file="a.png\u202egpj.exe", type="image/png")), FORM, "body-invalid /0 filename"),
        (form(part("f", PNG, file="CON", type="image/png")), FORM, "body-invalid /0 filename"),
        (form(GOOD, part("f", PDF, file="a.png", type="image/png")), FORM, "body-invalid /1 content"),
        (form(part("f", PNG, file="a.png", type="text/html")), FORM, "media-type"),
        (form(part("f", PNG, file="a.png")), FORM, "media-type"),
        (form(part("f", PNG * 40, file="a.png", type="image/png")), FORM, "body-too-large"),
        (form(part("f", form(part("g", PNG, file="b.html"), separator=b"y"), file="a", type="multipart/mixed; boundary=y")), FORM, "media-type"),
        (form(part("f", b"x", type="image/png")), FORM, "body-invalid /0 type"),
        (form(part("f", b"\x00")), FORM, "body-invalid /0 encoding"),
        (form(*[GOOD] * 4), FORM, "body-invalid  parts"),
        (form(part("f", b"", file="a.png", type="image/png")), FORM, "body-invalid /0 content"),
    ],
)  # fmt: skip
async def test_others_are_refused(body: bytes, type: str, told: str) -> None:
    assert await outcome(body, type) == told


@pytest.mark.parametrize(
    "value",
    [
        b'attachment; filename="../a"',
        b"attachment; filename=a.png",
        b'attachment; filename="a"; filename="b"',
        b"attachment; filename*=utf-8''a",
        b"\xff",
    ],
)
async def test_name_of_a_file_by_itself_is_judged_too(value: bytes) -> None:
    assert (await outcome(PNG, "image/png", (b"content-disposition", value))).startswith("body-invalid")


async def test_encoded_files_cannot_be_inspected() -> None:
    assert await outcome(PNG, "image/png", (b"content-encoding", b"gzip")) == "media-type"


async def test_any_name_passes_where_the_route_says_so() -> None:
    assert await outcome(form(part("f", PNG, file="../a.png", type="image/png")), FORM, file_names="any") == "passed"


async def test_largest_body_is_one_file_and_its_fields_unless_the_route_says_more() -> None:
    assert await outcome(b"--x\r\n" + b"a" * (64 * 1024 + 1024), FORM) == "body-too-large"


@pytest.mark.parametrize("name", ["image/svg+xml", "text/html", "image/pngg", "*/*"])
def test_types_that_bytes_do_not_tell_are_an_error_at_load(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be told by their bytes"):
        Validation(Validate.model_validate({"upload": {"types": [name]}}))


async def test_json_beside_files_is_judged_by_the_schema_of_the_route() -> None:
    stage = Validation(Validate.model_validate({"upload": {"types": ["image/png"]}}), {"body": b'{"type": "object"}'})
    await stage.validate(a_request("POST", headers=[(b"content-type", b"application/json")], body=HeldBody(b"{}")))
    await stage.validate(a_request("POST", headers=[(b"content-type", b"image/png")], body=HeldBody(PNG)))
    with pytest.raises(BadRequest):
        await stage.validate(a_request("POST", headers=[(b"content-type", b"application/json")], body=HeldBody(b"[]")))
