"""A long step says where it is: by a bar on a terminal, by one line elsewhere."""
import io
import sys

import pytest

from dbn.system.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_gets_one_line_when_a_step_begins(capsys):
    with progress_bar("training", total=3) as bar:
        assert capsys.readouterr() == ("", "training\n")
        bar.update(3)
    assert list(progress_bar("reading", "abc")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "reading\n")


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(progress_bar("reading", "abc", unit="song")) == ["a", "b", "c"]
    text = sys.stderr.getvalue()
    assert "reading: 100%" in text and "3/3" in text and "\r" in text


@pytest.mark.parametrize("terminal", [True, False])
def test_who_wants_none_gets_none(monkeypatch, terminal):
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    assert list(progress_bar("reading", "abc", False)) == ["a", "b", "c"]
    assert sys.stderr.getvalue() == ""


def test_nobody_to_be_told(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    progress_bar("reading", total=1).close()
    assert capsys.readouterr().out == ""


def test_a_notebook_is_not_told(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    progress_bar("reading", total=1).close()
    assert capsys.readouterr().err == ""
