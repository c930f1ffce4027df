"""Which corpus and which versions made a result: recorded with every part that is kept, and said of the whole (§8).

A part is a pair of what it is, such as ``"network, seed 0"``, and the record of the versions that made it
(:func:`dbn.system.versions.versions`). What is kept on disk has a list of the parts that went into it, so that a
result which is printed later, by other versions, still names those of the computation.
"""
from collections import defaultdict
from dataclasses import dataclass

from dbn.system.versions import NOT_RECORDED, recorded


@dataclass(frozen=True)
class Origin:
    """What a result was made of, and by.

    Attributes
    ----------
    corpus : dict
        ``root`` (its folder), ``key`` (names its files, see :func:`dbn.datasets.corpus.corpus_key`), ``labels``
        ("classes" or "tags").
    parts : list of (str, dict)
        Everything that was computed for it.
    skipped : list of (str, str)
        ``(file, why)`` of what was left out.
    warnings : list of str
        What a reader of the numbers has to know.
    """

    corpus: dict
    parts: list
    skipped: list
    warnings: list


def network_parts(model, name):
    """The parts that a :class:`dbn.trained.model.Model` is made of; `name` is what it is called itself."""
    return [("frames", model.about.get("versions_of_frames", {})), (name, model.about.get("versions", {}))]


def made_with(parts):
    """The versions of a result.

    Parameters
    ----------
    parts : iterable of (str, dict)
        In the order of the work; a record may be a joined one, or empty, where an older program kept none.

    Returns
    -------
    dict
        From each name to its version, or, where parts have different ones, to a dict from each version to the list of
        these parts. Parts without any record are listed under ``"not recorded"``.
    """
    parts = list(parts)
    found = {}
    for name in dict.fromkeys(name for _, record in parts for name in record):
        of_version = defaultdict(dict)  # dicts for sets that keep their order
        for part, record in parts:
            for version in recorded(record, name) if record else ():
                of_version[version][part] = None
        found[name] = next(iter(of_version)) if len(of_version) == 1 else {
            version: list(names) for version, names in of_version.items()}
    unknown = list(dict.fromkeys(part for part, record in parts if not record))
    return found | ({NOT_RECORDED: unknown} if unknown else {})


def versions_text(result):
    """What :func:`made_with` says in a result, in one line."""
    return "; ".join(_version_text(name, value) for name, value in result.get("made_with", {}).items()) or NOT_RECORDED


def _version_text(name, value):
    if isinstance(value, dict):
        value = ", ".join(f"{version} ({', '.join(parts)})" for version, parts in value.items())
    elif isinstance(value, list):
        value = ", ".join(value)
    return f"{name} {value}" if name != NOT_RECORDED else f"{name}: {value}"
