"""What the program wrote for itself, read again: of the form that it was written in, or a DamagedError says where not.

A form says what a value of JSON must be:

=====================  ========================================================================
``str``, ``bool``      such a value
``int``                a whole number
``float``              a finite number, whole ones among them
``dict``, ``list``     whatever is in it
``None``               null
``[form]``             a list of any length
``(form, form)``       a list of these two
``{"name": form}``     a dict with these entries, and perhaps others
``{str: form}``        a dict of any names
:class:`Either`        one of several forms
:class:`Among`         one of some values
:class:`Within`        a number between two
:class:`Perhaps`       an entry of a dict that need not be there
=====================  ========================================================================
"""
import json
import math
import sys
from dataclasses import dataclass

import numpy as np

from dbn.errors import DamagedError


class Either(tuple):
    """``Either((form, form))``: a value of one of these forms."""


class Among(tuple):
    """``Among(values)``: one of these values."""


@dataclass(frozen=True)
class Within:
    """A number of a kind, ``int`` or ``float``, between two, which are possible too."""

    kind: type
    least: float
    most: float = math.inf


@dataclass(frozen=True)
class Perhaps:
    """An entry of a dict that need not be there; if it is, it has this form."""

    form: object


COUNT, SHARE, SECONDS = Within(int, 0), Within(float, 0, 1), Within(float, 0)
VERSIONS = {str: Either((str, [str]))}  # see dbn.system.versions
PARTS = [(str, VERSIONS)]  # what a result was made of, by name


def read_json(path, form, fits=lambda content: True):
    """The content of a JSON file.

    Parameters
    ----------
    path : pathlib.Path
    form
        See the head of this file.
    fits : callable
        Says whether the parts of a content of this form fit each other.

    Raises
    ------
    DamagedError
        The file holds something else.
    OSError
        There is none, or it cannot be read.
    """
    text = path.read_bytes()
    try:
        content = parsed(text, form)
    except ValueError as error:
        raise DamagedError(f"{path}: is damaged ({error})") from error
    if not fits(content):
        raise DamagedError(f"{path}: is damaged (its parts do not fit each other)")
    return content


def parsed(content, form):
    """The value of a JSON text, str or bytes; ValueError if it has not the form."""
    def refuse(constant):
        raise ValueError(f"{constant} is no number")

    try:
        value = json.loads(content, parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _check(value, form, "the content")
    return value


def kept_json(path, *form):
    """What :func:`read_json` gives of a file that can be made again, see :func:`kept`."""
    return kept(path, read_json, *form)


def kept(path, read, *arguments):
    """What ``read(path, *arguments)`` gives of a file that can be made again: None if there is none.

    A damaged one, by a DamagedError, is announced on standard error, and removed.
    """
    try:
        return read(path, *arguments)
    except FileNotFoundError:
        return None
    except DamagedError as error:
        print(f"warning: {error}; it is made again", file=sys.stderr, flush=True)
        path.unlink(missing_ok=True)
        return None


def read_rows(path, shape):
    """Map a ``.npy`` file of float32 rows into memory.

    Parameters
    ----------
    path : pathlib.Path
    shape : (int, int)
        That it must have.

    Raises
    ------
    DamagedError, OSError
        As :func:`read_json`.
    """
    try:
        rows = np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # of damaged bytes: the readers of headers raise a dozen kinds
        raise DamagedError(f"{path}: is damaged ({error})") from error
    if rows.shape != shape or rows.dtype != np.float32 or not rows.flags.c_contiguous:
        raise DamagedError(f"{path}: is damaged (it holds {rows.dtype} of shape {rows.shape} instead of {shape})")
    return rows


def _check(value, form, where):
    """Raise ValueError unless the value has the form; `where` names it."""
    if not _KINDS[_kind(form)](value, form, where):
        text = repr(value)
        raise ValueError(f"{where} is {text if len(text) < 60 else text[:60] + '...'}")


def _kind(form):
    return form if form in (str, bool, int, float, dict, list, None) else type(form)


def _is_number(value, kind):
    kinds = (int, float) if kind is float else int
    return isinstance(value, kinds) and not isinstance(value, bool) and abs(value) < 2**1023


def _is_list(value, forms, where):
    if not isinstance(value, list) or (isinstance(forms, tuple) and len(forms) != len(value)):
        return False
    for i, each in enumerate(value):
        _check(each, forms[i] if isinstance(forms, tuple) else forms[0], f"{where}[{i}]")
    return True


def _is_dict(value, form, where):
    if not isinstance(value, dict):
        return False
    if str in form:
        form = dict.fromkeys(value, form[str])
    for name, of_entry in form.items():
        if name in value:
            _check(value[name], of_entry.form if isinstance(of_entry, Perhaps) else of_entry, f"{where}[{name!r}]")
        elif not isinstance(of_entry, Perhaps):
            raise ValueError(f"{where} lacks {name!r}")
    return True


def _is_either(value, forms, where):
    errors = []
    for form in forms:
        try:
            _check(value, form, where)
            return True
        except ValueError as error:
            errors.append(error)
    raise errors[-1]


_KINDS = {
    str: lambda value, *_: isinstance(value, str),
    bool: lambda value, *_: isinstance(value, bool),
    int: lambda value, *_: _is_number(value, int),
    float: lambda value, *_: _is_number(value, float),
    dict: lambda value, form, where: _is_dict(value, form if isinstance(form, dict) else {}, where),
    list: lambda value, form, where: isinstance(value, list) if form is list else _is_list(value, form, where),
    None: lambda value, *_: value is None,
    tuple: _is_list,
    Either: _is_either,
    Among: lambda value, form, _: any(value == each and type(value) is type(each) for each in form),
    Within: lambda value, form, _: _is_number(value, form.kind) and form.least <= value <= form.most,
}
