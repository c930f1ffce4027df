"""Command-line options made from the fields of a settings class: one option each, of the field's name and type."""
import argparse
import re
from dataclasses import fields
from types import NoneType
from typing import get_args

from dbn.errors import DBNError

_MOST_JOBS = 10_000


def add_options(group, settings_class, left_out=(), defaults=None):
    """One option for each field of a settings class, two for a switch; only those given appear among the parsed.

    Parameters
    ----------
    group : argparse.ArgumentParser or argument group
    settings_class : type
        A dataclass with defaults; the help texts are those of its docstring, where it has an ``Attributes`` section.
    left_out : sequence of str
        Fields that are not options.
    defaults : settings_class, optional
        What the help says of each option's default.
    """
    texts = _attribute_texts(settings_class.__doc__)
    for setting in fields(settings_class):
        if setting.name not in left_out:
            text = texts.get(setting.name)
            if defaults is not None:
                text = f"{text} Default: {_as_given(getattr(defaults, setting.name))}"
            how = {"action": argparse.BooleanOptionalAction} if isinstance(setting.default, bool) else {
                "type": _parser_of(setting)}
            group.add_argument(option_name(setting.name), default=argparse.SUPPRESS, help=text, **how)


def given_options(args, settings_class):
    """Those fields of `settings_class` that were given as options: a dict of their values."""
    return {setting.name: getattr(args, setting.name) for setting in fields(settings_class)
            if hasattr(args, setting.name)}


def check_bounds(values, bounds):
    """Raise a :class:`DBNError` that names the first option out of its bounds.

    Parameters
    ----------
    values : object
        With the options' values as attributes: a number, a tuple of them, or None, which is always right.
    bounds : dict of str to (number, number)
        The least and the greatest value of each.
    """
    for name, (least, most) in bounds.items():
        value = getattr(values, name)
        for each in value if isinstance(value, tuple) else (value,):
            if each is not None and not least <= each <= most:
                raise DBNError(f"{option_name(name)} is {each}: give a number from {least:,} to {most:,}")


def require_jobs(jobs):
    """Raise a :class:`DBNError` if ``--jobs`` means no number of processes."""
    if jobs == 0 or not -1 <= jobs <= _MOST_JOBS:
        raise DBNError(f"--jobs is {jobs}: give the number of processes, up to {_MOST_JOBS:,}, or -1 for one a core")


def checked_jobs(jobs):
    """The number of processes that ``--jobs`` means, no more than cores; a :class:`DBNError` if it means none."""
    require_jobs(jobs)
    from joblib import effective_n_jobs  # a quarter of a second to import, which --help need not wait for
    return min(effective_n_jobs(jobs), effective_n_jobs(-1))


def output_name(text):
    """A name to write to, as it was given; argparse refuses an empty one."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; give that of a file")
    return text


def tuple_of(kind):
    """A parser of comma-separated values."""
    def parse_tuple(text):
        return tuple(kind(part) for part in text.split(","))
    parse_tuple.__name__ = f"comma-separated {kind.__name__}"
    return parse_tuple


def _or_none(kind):
    def parse_optional(text):
        return None if text == "none" else kind(text)
    parse_optional.__name__ = f"{kind.__name__} or none"
    return parse_optional


def _parser_of(setting):
    if isinstance(setting.default, tuple):
        return tuple_of(type(setting.default[0]) if setting.default else get_args(setting.type)[0])
    optional = [kind for kind in get_args(setting.type) if kind is not NoneType]  # of "int | None"
    return _or_none(optional[0]) if optional else type(setting.default)


def as_options(values):
    """A dict of settings as options of the command line; a list of str."""
    return [f"{option_name(name)} {_as_given(value)}" for name, value in values.items()]


def option_name(name):
    """The option of a settings field, such as ``--n-mfcc`` of ``n_mfcc``."""
    return "--" + name.replace("_", "-")


def _as_given(value):
    """A value as it is written on the command line."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _attribute_texts(docstring):
    """What a NumPy-style docstring says of each attribute, on one line and safe for argparse: a dict by name."""
    _, _, section = (docstring or "").partition("Attributes\n    ----------\n")
    texts = {}
    for names, text in re.findall(r"^    (\w[\w, ]*) : .*\n((?:        .*\n)+)", section, re.MULTILINE):
        for name in names.split(", "):
            texts[name] = " ".join(text.replace("`", "").split()).replace("%", "%%")
    return texts
