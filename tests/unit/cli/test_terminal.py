"""Text for terminals."""

from gateway.cli.terminal import aligned


def test_cells_stand_below_each_other_and_none_redraws_a_terminal_or_forges_a_row() -> None:
    assert aligned([("ID", "NAME"), ("\x1b[2Ja", "x\ny"), ("b", "")]) == [
        "ID          NAME",
        "\\u001b[2Ja  x\\ny",
        "b           ",
    ]
