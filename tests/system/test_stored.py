"""The reader of the program's own files: what has its form is given back, all else is said in a sentence."""
import json

import numpy as np
import pytest

from dbn.errors import DamagedError
from dbn.system.stored import Among, Either, Perhaps, Within, kept_json, parsed, read_json, read_rows

FORM = {"name": str, "n": Within(int, 0), "share": Within(float, 0, 1), "rows": [{"label": Among(("a", "b"))}],
        "pair": (str, float), "any": dict, "by name": {str: Either((None, [bool]))}, "more": Perhaps(list)}
RIGHT = {"name": "x", "n": 3, "share": 1, "rows": [{"label": "a"}, {"label": "b", "other": 1}], "pair": ["x", -2.5],
         "any": {"x": [None]}, "by name": {"x": None, "y": [True]}}


@pytest.mark.parametrize("content", [RIGHT, RIGHT | {"more": [1, "x"]}, RIGHT | {"unknown": 0}, RIGHT | {"rows": []}])
def test_what_has_the_form(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(content))
    assert read_json(path, FORM) == kept_json(path, FORM) == content


@pytest.mark.parametrize("change, named", [
    ({"name": 3}, r"\['name'\] is 3"), ({"n": -1}, r"\['n'\] is -1"), ({"n": True}, r"\['n'\] is True"),
    ({"n": 2.0}, r"\['n'\] is 2.0"), ({"share": 1.5}, "1.5"), ({"rows": {}}, r"\['rows'\] is {}"),
    ({"rows": [{"label": "a"}, {"label": "c"}]}, r"\['rows'\]\[1\]\['label'\] is 'c'"),
    ({"rows": [{}]}, "lacks 'label'"), ({"rows": [{"label": ["a"]}]}, "label"), ({"pair": ["x"]}, "pair"),
    ({"pair": ["x", "y"]}, r"\['pair'\]\[1\]"),
    ({"any": []}, "any"), ({"by name": {"x": [1]}}, r"\['by name'\]\['x'\]\[0\] is 1"), ({"more": 3}, "more"),
    ({"share": 10**400}, "share")])
def test_what_has_not(tmp_path, capsys, change, named):
    """It says where, and does not show pages of it; a file that can be made again is announced and removed."""
    path = tmp_path / "x.json"
    path.write_text(json.dumps(RIGHT | change))
    with pytest.raises(DamagedError, match=rf"x\.json: is damaged \(.*{named}") as error:
        read_json(path, FORM)
    assert len(str(error.value)) < len(str(path)) + 150
    assert kept_json(path, FORM) is None and not path.exists()
    assert capsys.readouterr().err == f"warning: {error.value}; it is made again\n"


@pytest.mark.parametrize("text, why", [(b"", "Expecting value"), (b"\xff", "decode"), (b"[NaN]", "NaN is no number"),
                                       (b"[" * 100_000, "nested too deeply"), (b"9" * 5000, "digits")])
def test_what_is_no_json(text, why):
    with pytest.raises(ValueError, match=why):
        parsed(text, [float])


def test_parts_that_do_not_fit(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("[1, 2]")
    assert read_json(path, [int], lambda content: len(content) == 2) == [1, 2]
    with pytest.raises(DamagedError, match="do not fit each other"):
        read_json(path, [int], lambda content: len(content) == 3)


def test_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "x.json", [])
    assert kept_json(tmp_path / "x.json", []) is None


@pytest.mark.parametrize("rows", [np.zeros((3, 2)), np.zeros((2, 3), "f4"), np.asfortranarray(np.zeros((3, 2), "f4")),
                                  np.array([None])])
def test_rows_of_another_kind(tmp_path, rows):
    path = tmp_path / "rows.npy"
    whole = np.arange(6, dtype="f4").reshape(3, 2)
    np.save(path, whole)
    np.testing.assert_array_equal(read_rows(path, (3, 2)), whole)
    np.save(path, rows)
    with pytest.raises(DamagedError, match="rows.npy: is damaged"):
        read_rows(path, (3, 2))
