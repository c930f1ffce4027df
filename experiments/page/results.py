"""The results of a folder, which a page shows beside each other: read, and all of one corpus."""
import json

from dbn.errors import DBNError
from experiments.page.content import QUESTIONS, RESULTS
from experiments.steps.options import command

ORDER = [entry.name for entry in RESULTS + QUESTIONS]


def load_results(out):
    """Every ``<name>.json`` of a folder that is a table or figure with rows.

    Parameters
    ----------
    out : pathlib.Path
        The results folder.

    Returns
    -------
    dict of str to dict
        By name, in the order of the page.

    Raises
    ------
    DBNError
        A damaged file, one that does not say of which corpus it is, or files of two corpora. Songs with classes and
        clips with tags are not mixed up: of each kind there may be one corpus.
    """
    found = {}
    for path in sorted(out.glob("[!.]*.json")):
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise DBNError(f"{path}: is damaged ({error}); delete it and run its script again") from error
        if isinstance(content, dict) and "table" in content and isinstance(content.get("rows"), list):
            found[path.stem] = content
    found = dict(sorted(found.items(), key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else len(ORDER)))
    _check_one_corpus(out, found)
    return found


def _check_one_corpus(out, results):
    first = {}  # by kind of corpus, the path of its first result and the corpus
    for name, result in results.items():
        path, corpus = out / f"{name}.json", result.get("corpus")
        if not isinstance(corpus, dict) or not {"root", "key", "labels"} <= corpus.keys():
            raise DBNError(f"{path}: does not say of which corpus it is, like all results of older versions; delete "
                           f"it, or make it again with\n  {result.get('command', command(name, []))}")
        other_path, other = first.setdefault(str(corpus["labels"]), (path, corpus))
        if corpus["key"] != other["key"]:
            raise DBNError(f"{other_path} and {path} are of two corpora: {_text(other)}, and {_text(corpus)}. A report "
                           "does not mix them: delete one of the two, or give each corpus another --out. If songs were "
                           "added, taken away or changed, make all results anew")


def _text(corpus):
    return f"{corpus['root']} (key {str(corpus['key'])[:12]})"
