"""The report: one page with every table and figure of a results folder beside the paper's, and how each was made."""
import importlib.util
import json
import shlex
from collections import defaultdict
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path

from dbn.errors import DBNError
from dbn.system.files import atomic_path, disk_errors
from experiments.page.content import DATASETS, QUESTIONS, RESULTS, SHARED_STEPS, STEPS, Result, deviations
from experiments.page.elements import command_block, element, pairs, picture, table, write_document
from experiments.page.results import ORDER, load_results
from experiments.page.rows import row_tables
from experiments.steps.judging import judged_text, p_values_text
from experiments.steps.options import command, parse, run_script, shared_arguments
from experiments.steps.provenance import versions_text
from experiments.steps.reporting import SYNTHETIC_NOTE, songs_texts, value_text


def main(argv=None):
    """Write ``report.html`` into the results folder and name it."""
    options = parse(__doc__, argv)
    path = write_report(options.out, options.argv)
    print(f"\nreport: {path}")


def write_report(out, argv):
    """Write ``report.html`` from what a results folder holds.

    Parameters
    ----------
    out : pathlib.Path
        The results folder.
    argv : list of str
        Arguments for the first script, named when the folder holds no result.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    DBNError
        If no table was made yet, a file is damaged, or the results are of two corpora.
    """
    results = load_results(out)
    if not results:
        raise DBNError(f"{out}: no results to report yet; make the first with\n  {command('table1', argv)}")
    datasets = {result.get("dataset") for result in results.values()}
    entries = [*(entry for entry in RESULTS if entry.name in results
                 or _has_script(entry.name) and not datasets.isdisjoint(entry.datasets)),
               *(entry for entry in QUESTIONS if entry.name in results),
               *(_unlisted(name, out) for name in results if name not in ORDER)]
    labels = {entry.name: entry.label for entry in entries}
    results = {labels[name]: result for name, result in results.items()}
    sections = chain.from_iterable(result_section(entry, results.get(entry.label), out, results) for entry in entries)
    with disk_errors(out), atomic_path(out / "report.html") as path:
        write_document(path, f"Report: {shared(results, 'dataset')}, profile {shared(results, 'profile')}",
                       (Path(__file__).parent / "page" / "report.css").read_text(),
                       *top(results), contents(entries), *warnings_section(results), *reading_guide(), *sections,
                       *differences_section(results), *settings_section(results), *times_section(results),
                       *skipped_section(results), *again_section(entries, results, out))
    return out / "report.html"


def _has_script(name):
    return importlib.util.find_spec(f"experiments.{name}") is not None


def _unlisted(name, out):
    """A table that the list of results does not know: shown under the name of its file."""
    pictures = sorted(path.name for path in out.glob(f"{name}*.png"))
    return Result(name, name, "no such table", "", tuple((picture, picture) for picture in pictures))


def by_value(results, value_of):
    """Labels of the results by what `value_of` says of them: a dict of text to list of labels."""
    labels = defaultdict(list)
    for label, result in results.items():
        labels[value_of(result)].append(label)
    return labels


def shared(results, what):
    """A fact that all results share, or each with the results that it belongs to.

    `what` is a key of the results or a function of one.
    """
    labels = by_value(results, what if callable(what) else lambda result: value_text(result.get(what)))
    return next(iter(labels)) if len(labels) == 1 else "; ".join(
        f"{value} ({', '.join(names)})" for value, names in labels.items())


# --- the top of the page ---

def top(results):
    """What this is, on which data, by what machine."""
    yield element("h1", "Learning features from music audio with deep belief networks")
    yield element("p", "A reimplementation of Hamel and Eck (ISMIR 2010) in PyTensor: what it gives, beside what the "
                       "paper prints.", class_="soft")
    if any(result.get("dataset") == "synthetic" for result in results.values()):
        yield element("p", SYNTHETIC_NOTE, class_="synthetic", role="note")
    made = sorted(_date(result["made"]) for result in results.values() if "made" in result) or ["not recorded"]
    steps = {step for result in results.values() for step in result.get("seconds", {}).items()}
    # of what one script made for the others the longest, of their own steps all
    once = {name: max(taken for step, taken in steps if step == name) for name, _ in steps if name in SHARED_STEPS}
    seconds = sum(once.values()) + sum(taken for name, taken in steps if name not in SHARED_STEPS)
    yield pairs([("Data set", shared(results, lambda result: DATASETS.get(result.get("dataset"),
                                                                          value_text(result.get("dataset"))))),
                 ("Its folder", shared(results, _corpus)),
                 ("Songs", shared(results, _songs)),
                 ("Profile", shared(results, "profile")),
                 ("Seeds", shared(results, _seeds)),
                 ("Network", shared(_of_networks(results), _network)),
                 ("Results made", made[0] if made[0] == made[-1] else f"{made[0]} to {made[-1]}"),
                 ("Page made", _date(datetime.now(timezone.utc).isoformat())),
                 ("Machine", shared(results, _machine)),
                 ("Software", shared(results, versions_text)),
                 ("Time taken", f"{_duration(seconds)} for one seed, without the search and the questions; each step "
                                "below")])


def _date(text):
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M UTC")


def _songs(result):
    words = {"train": "training", "valid": "validation", "test": "test"}
    return ", ".join(f"{count} {words.get(part, part)}" for part, count in songs_texts(result).items())


def _seeds(result):
    seed, repeats = result.get("seed"), result.get("repeats", 1)
    return value_text(seed) if repeats == 1 else (
        f"{seed} to {seed + repeats - 1}; what is no accuracy is a mean over them")


def _of_networks(results):
    """The results of one network, not that of the search among many, unless it is all there is."""
    return {label: result for label, result in results.items() if "winner" not in result} or results


def _network(result):
    winner = result.get("winner_of_search")
    return "the profile's settings" if winner is None else (
        f"the settings that won the search, point {winner['point']} of {winner['n_points']}")


def _network_key(result):
    """Two results of the same are of one network, as far as the settings say."""
    settings = result.get("settings", {})
    return json.dumps([settings.get("scaling"), settings.get("pooling"), settings.get("training")])


def _machine(result):
    about = result.get("machine", {})
    return ", ".join([about["cpu"], f"{about['cores']} cores", about["system"]]) if about else "not recorded"


def _corpus(result):
    return f"{result['corpus']['root']}, key {str(result['corpus']['key'])[:12]}"


def _duration(seconds):
    if seconds < 90:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def contents(entries):
    """Links to the sections."""
    links = [(entry.name, entry.label) for entry in entries]
    links = [("warnings", "Warnings"), *links, ("differences", "What differs"), ("settings", "Settings"),
             ("times", "Times"), ("skipped", "Files left out"), ("again", "Make it again")]
    items = [element("li", element("a", label, href=f"#{name}")) for name, label in links]
    return element("nav", element("ul", *items), aria_label="Contents")


# --- how to read it ---

def warnings_section(results):
    """What a reader of the numbers has to know, each with the results that it is about."""
    yield element("h2", "Warnings", id="warnings")
    labels = defaultdict(list)
    for label, result in results.items():
        for text in result.get("warnings", []):
            labels[text].append(label)
    networks = by_value({label: result for label, result in _of_networks(results).items() if "question" not in result},
                        _network_key)
    if len(networks) > 1:
        groups = "; ".join(", ".join(names) for names in networks.values())
        labels["These results are of networks with different settings, and do not belong together; make them again "
               "with the same ones."].append(groups)
    if labels:
        yield element("ul", *(element("li", element("b", f"{', '.join(names)}. "), text)
                              for text, names in labels.items()))
    else:
        yield element("p", "None.")


def reading_guide():
    """What the columns and the strips mean."""
    yield element("h2", "How to read this")
    yield element("p", "“Ours” stands beside “paper”. An accuracy is a share of test songs, with its 95 % interval in "
                       "brackets: these songs are compatible with every value inside it. p says how likely a "
                       "difference from MFCCs at least this large is, were both equally good; Holm is p corrected for "
                       "the number of rows that are tested. Under each table stands which interval and test it has.")
    yield element("p", "In the strips from 0 to 1 the dot is ours, the pale bar its interval, the upright stroke the "
                       "paper's accuracy.")


def differences_section(results):
    """Where the experiments are not, or may not be, the paper's; each group of equal settings apart."""
    yield element("h2", "What differs from the paper", id="differences")
    groups = by_value(_of_networks(results), lambda result: json.dumps(deviations(result)))
    for text, labels in groups.items():
        if len(groups) > 1:
            yield element("h3", ", ".join(labels))
        yield element("ol", *(element("li", element("b", f"{topic}. "), what) for topic, what in json.loads(text)))


# --- one table or figure ---

def result_section(entry, result, out, results):
    """A table or figure: what it is, its rows, its pictures, how to make it again; or that it is not made yet."""
    badge = element("span", "synthetic", class_="badge") if result and result.get("dataset") == "synthetic" else None
    yield element("h2", entry.title, " ", badge, id=entry.name)
    yield element("p", f"Paper: {entry.section}. {entry.about}", class_="soft")
    if result:
        rows = result.get("shown", result["rows"])  # a search has more rows than a page should
        tables = row_tables(rows, is_question="question" in result)
        texts = [element("p", text) for text in [*result.get("remarks", []), *result.get("answers", [])]]
        missing = [name for name, _ in entry.pictures if not (out / name).exists()]
        pictures = [picture(out / name, text) for name, text in entry.pictures if name not in missing]
        if "question" in result:  # its answer comes first
            yield from (*texts, *pictures, *tables, *_judged(result))
        else:
            yield from (*tables, *_judged(result), *texts, *pictures)
        yield element("p", f"{', '.join(missing)} is not there. " if missing else None, "Made by:", class_="soft")
    else:  # a picture without its result may be of another corpus
        yield element("p", "Not made yet. This makes it:")
    yield command_block(command_of(entry.name, result, results))


def _judged(result):
    """What interval and test its rows have."""
    if "judged" in result:
        is_tested = any("p_vs_mfcc" in row for row in result["rows"])
        yield element("p", " ".join([judged_text(result), *([p_values_text(result)] if is_tested else [])]),
                      class_="soft")


def command_of(name, result, results):
    """The command that made a result; of one that is not there, with those arguments of the first that all take."""
    if result and "command" in result:
        return result["command"]
    others = [other["command"] for other in _of_networks(results).values() if "command" in other]
    return command(name, shared_arguments(shlex.split(others[0])[3:]) if others else [])


# --- the end of the page ---

def settings_section(results):
    """Every option used by the first result, and what differs from it in others."""
    yield element("h2", "Settings", id="settings")
    yield element("p", "The names are those of experiments/profiles.py and dbn/training/settings.py, where each is "
                       "explained; on the command line frame_length is --frame-length.", class_="soft")
    groups = by_value(results, lambda result: json.dumps(_flat(result.get("settings", {}))))
    first = None
    for text, labels in groups.items():
        settings = json.loads(text)
        if first is None:
            first = settings
        else:
            yield element("h3", f"Where {', '.join(labels)} differs")
            settings = {name: settings.get(name, "unknown") for name in {**first, **settings}
                        if name not in first or name not in settings or settings[name] != first[name]}
        yield pairs([(name, _option_text(value)) for name, value in settings.items()], class_="settings")


def _flat(settings):
    """The settings with those of the training among them."""
    return {name: value for name, value in settings.items() if name != "training"} | settings.get("training", {})


def _option_text(value):
    """A setting as its option takes it."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(_option_text, value))
    return "none" if value is None else str(value).removesuffix(".0")


def times_section(results):
    """Seconds of every step, for every result."""
    yield element("h2", "Times", id="times")
    yield element("p", "Wall-clock time. Of steps that belong to a seed, such as the training, the mean over the "
                       "seeds; what one script made the next ones reuse.", class_="soft")
    steps = list(dict.fromkeys(step for result in results.values() for step in result.get("seconds", {})))
    yield table(["", *results], [[STEPS.get(step, step), *(
        _duration(result["seconds"][step]) if step in result.get("seconds", {}) else ""
        for result in results.values())] for step in steps])


def skipped_section(results):
    """Files that could not be used."""
    yield element("h2", "Files left out", id="skipped")
    skipped = dict.fromkeys((entry["file"], entry["why"]) for result in results.values()
                            for entry in result.get("skipped", []))
    if skipped:
        yield table(["file", "why"], list(map(list, skipped)), class_="words")
    else:
        yield element("p", "None: every file of the data set could be used.")


def again_section(entries, results, out):
    """How to make all of it again."""
    yield element("h2", "Make it again", id="again")
    yield element("p", "In the repository's folder; what is there already is reused, so delete the results folder for "
                       "a fresh start. The same seed gives the same numbers with the same versions on the same "
                       "kind of processor; another one rounds differently, which may move a song or two.",
                  class_="soft")
    commands = [command_of(entry.name, results.get(entry.label), results)
                for entry in sorted(entries, key=lambda entry: entry.name != "sweep")  # others may take its winner
                if entry.label in results]
    yield command_block("make setup", ". .venv/bin/activate", *commands, command("report", ["--out", str(out)]))


if __name__ == "__main__":
    run_script(main)
