"""Shapes of header fields: one for equal names, few and small, and the same fields out as in."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core import shape as shapes
from gateway.core.message import Response
from gateway.core.shape import LONGEST, MOST, MOST_NAMES, SENT, SHAPES, Selection, conclude, shape_as_sent, shape_of, split
from gateway.edge.cors import Cors
from gateway.edge.finish import Finish
from gateway.edge.security_headers import SecurityHeaders
from gateway.ratelimit.headers import LimitFields
from gateway.server.answer import TEMPLATES
from gateway.upstream.head import FRAMINGS, framing_of
from tests.scripted import exchange
from tests.unit.edge.test_finish import inbound

NAMES = st.lists(st.sampled_from([b"etag", b"x-a", b"x-b", b"vary", b"set-cookie"]), max_size=6)


@given(names=NAMES, dropped=st.sampled_from([b"etag", b"x-a", b"none"]))
def test_a_selection_picks_the_values_of_the_names_it_keeps_in_their_order(names: list[bytes], dropped: bytes) -> None:
    fields = [(name, b"%d" % place) for place, name in enumerate(names)]
    shape, values = split(fields)
    kept = Selection(shape, lambda name: name != dropped)
    picked = values if kept.pick is None else kept.pick(values)
    assert list(zip(kept.shape.names, picked, strict=True)) == [field for field in fields if field[0] != dropped]


@given(names=NAMES)
def test_equal_names_have_one_shape_in_whatever_case_they_came(names: list[bytes]) -> None:
    SENT.clear()  # the tables start anew each at its own time, after which equal names have two shapes for a while
    SHAPES.clear()
    assert shape_as_sent(tuple(name.title() for name in names)) is shape_of(tuple(names))


def test_shapes_of_strangers_are_bounded_in_number() -> None:
    for number in range(3 * MOST):
        framing_of(shape_as_sent((b"X-%d" % number,)))
    assert max(len(SENT), len(SHAPES), len(FRAMINGS)) <= MOST


def test_a_shape_too_large_to_keep_serves_one_answer_and_is_forgotten() -> None:
    """An upstream that is hostile sends other names each time, as many as a head may have."""
    finish = Finish(cors=Cors(None), headers=SecurityHeaders({}), limits=LimitFields("none", {}))
    tables = (SENT, SHAPES, FRAMINGS, TEMPLATES, finish._passed)
    for names in ([b"x-%d" % number for number in range(MOST_NAMES + 1)], [b"y" * (LONGEST + 1)]):
        shape = shape_as_sent(tuple(names))
        framing_of(shape)
        response = Response.passed(200, shape, tuple(b"v" for _ in names))
        assert len(finish.complete(response, inbound(), exchange()).shape.names) == len(names)
        assert not shape.kept
        assert not any(kept is shape for table in tables for kept in (*table.keys(), *table.values()))


def test_what_is_concluded_from_a_large_shape_is_not_kept() -> None:
    table: dict[shapes.Shape, int] = {}
    assert conclude(table, shape_of((b"a" * (LONGEST + 1),)), 7) == 7
    assert table == {}
    assert conclude(table, shape_of((b"a",)), 8) == 8
    assert list(table.values()) == [8]
