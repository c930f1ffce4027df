"""The report: one page with every table and figure of a results folder beside the paper's, and how each was made."""
import importlib.util
import json
import shlex
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from dbn.errors import DBNError
from dbn.files import atomic_path
from experiments.options import command, parse, run_script
from experiments.page import accuracy_mark, command_block, element, pairs, picture, table, write_document
from experiments.reporting import SYNTHETIC_NOTE, value_text


@dataclass(frozen=True)
class Result:
    """What a script writes, and how the page shows it.

    Attributes
    ----------
    name : str
        Of the script and of its ``<name>.json``.
    title : str
        Its part before a colon is the short name.
    section : str
        Of the paper.
    about : str
        What a reader sees.
    pictures : tuple of (str, str)
        File and what it shows, the latter also for readers who cannot see it.
    """

    name: str
    title: str
    section: str
    about: str
    pictures: tuple = ()

    @property
    def label(self):
        return self.title.split(":")[0]


_CONFUSION = "Confusion matrix of {}: true classes in the rows, the classes given to their test songs in the columns."

# in the paper's order; a script that does not exist yet is left out of the page
RESULTS = (
    Result("figure1", "Figure 1: the network", "§3", "The stack of restricted Boltzmann machines, in its real sizes.",
           (("figure1.png", "The deep belief network as a stack of RBMs, each layer with its number of units."),)),
    Result("sweep", "Search: hyper-parameters", "§4.1", "The best combinations by validation error of single frames."),
    Result("table1", "Table 1: the network's training", "§4.1",
           "Hyper-parameters, training statistics and the accuracy of the network alone: the mean of its frame "
           "predictions names the song.",
           (("table1-learning.png", "Learning curves: reconstruction cost of each layer in pre-training; cost and "
             "validation frame error in fine-tuning, with the epoch whose parameters were kept."),
            ("table1-confusion.png", _CONFUSION.format("the network alone")))),
    Result("figure2", "Figure 2: the features in the plane", "§4.1",
           "t-SNE projections of the inputs, the MFCCs and the activations. The paper says that the hidden layers "
           "cluster more definitely; the numbers measure it.",
           (("figure2.png", "Frames of test songs projected to two dimensions by t-SNE, one panel for each kind of "
             "features, one colour for each class."),)),
    Result("table2", "Table 2: single frames", "§5.1.1",
           "An SVM on single frames of each kind of features; a song takes the vote of its frames.",
           (("table2-confusion.png", _CONFUSION.format("the best row of Table 2")),)),
    Result("table3", "Table 3: windows of 5 s", "§5.1.2",
           "An SVM on mean and variance of the features over windows; a song takes the vote of its windows.",
           (("table3-confusion.png", _CONFUSION.format("the best row of Table 3")),)),
    Result("figure3", "Figure 3: accuracy of each tag", "§5.2", "Autotagging with the DBN's and with the MIM features.",
           (("figure3.png", "Accuracy of each tag with DBN and MIM features, chance at 0.5."),)),
    Result("table4", "Table 4: autotagging", "§5.2", "Mean accuracy over the tags and its standard error."),
)

DATASETS = {"synthetic": "the embedded synthetic corpus: ten genres rendered from seeds, no music",
            "gtzan": "GTZAN (Tzanetakis), the paper's data set",
            "folder": "a folder with one sub-folder a class; not the paper's data set"}

COLUMNS = {"n_test": "songs", "mcnemar_p_vs_mfcc": "p against MFCCs", "gamma": "γ", "accuracies": "of each seed",
           "recall": "Share of each class's songs that were labelled right (recall)"}
STEPS = {"corpus": "making the corpus", "frames": "DFTs of all frames", "mfcc": "MFCCs of all frames",
         "scaling": "fitting the scaling", "pretrain": "pre-training", "finetune": "fine-tuning",
         "test": "test songs"}


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
        If no table was made yet, or a file is damaged.
    """
    results = load_results(out)
    if not results:
        raise DBNError(f"{out}: no results to report yet; make the first with\n  {command('table1', argv)}")
    known = [entry for entry in RESULTS if importlib.util.find_spec(f"experiments.{entry.name}") or
             entry.name in results]
    others = [Result(name, name, "not in the paper", "", tuple((path.name, path.stem) for path in
                                                               sorted(out.glob(f"{name}*.png"))))
              for name in results if name not in {entry.name for entry in RESULTS}]
    labels = {entry.name: entry.label for entry in (*known, *others)}
    results = {labels[name]: result for name, result in results.items()}
    sections = [result_section(entry, results.get(entry.label), out, results) for entry in (*known, *others)]
    with atomic_path(out / "report.html") as path:
        write_document(path, f"Report: {shared(results, 'dataset')}, profile {shared(results, 'profile')}",
                       Path(__file__).with_suffix(".css").read_text(),
                       *top(results), contents((*known, *others)), *reading_guide(results), *sections,
                       *settings_section(results), *times_section(results), *skipped_section(results),
                       *again_section(results, out))
    return out / "report.html"


def load_results(out):
    """Every ``<name>.json`` of a folder that holds rows: a dict by name, in the order of the page."""
    found = {}
    for path in sorted(out.glob("*.json")):
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise DBNError(f"{path}: is damaged ({error}); delete it and run its script again") from error
        if isinstance(content, dict) and isinstance(content.get("rows"), list):
            found[path.stem] = content
    order = [entry.name for entry in RESULTS]
    return dict(sorted(found.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)))


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
    now = _date(datetime.now(timezone.utc).isoformat())
    yield pairs([("Data set", shared(results, lambda result: DATASETS.get(result.get("dataset"),
                                                                          value_text(result.get("dataset"))))),
                 ("Songs", shared(results, _songs)),
                 ("Profile", shared(results, "profile")),
                 ("Seeds", shared(results, _seeds)),
                 ("Results made", made[0] if made[0] == made[-1] else f"{made[0]} to {made[-1]}"),
                 ("This page made", now),
                 ("Machine", shared(results, _machine)),
                 ("Software", shared(results, _versions)),
                 ("Computing time", _duration(sum(seconds for _, seconds in {
                     step for result in results.values() for step in result.get("seconds", {}).items()}))
                  + " for one seed; each step below")])


def _date(text):
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M UTC")


def _songs(result):
    words = {"train": "training", "valid": "validation", "test": "test"}
    return ", ".join(f"{count} {words.get(part, part)}" for part, count in result.get("n_songs", {}).items())


def _seeds(result):
    seed, repeats = result.get("seed"), result.get("repeats", 1)
    return value_text(seed) if repeats == 1 else (f"{seed} to {seed + repeats - 1}; their test songs are pooled, other "
                                                  "values are means")


def _machine(result):
    about = result.get("machine", {})
    return ", ".join([about["cpu"], f"{about['cores']} cores", about["system"]]) if about else "not recorded"


def _versions(result):
    return ", ".join(f"{name} {number}" for name, number in result.get("versions", {}).items()) or "not recorded"


def _duration(seconds):
    minutes, hours = round(seconds / 60), int(seconds // 3600)
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{minutes} min" if seconds < 5400 else f"{hours} h {round(seconds % 3600 / 60)} min"


def contents(entries):
    """Links to the sections."""
    links = [(entry.name, entry.label) for entry in entries]
    links += [("settings", "Settings"), ("times", "Times"), ("skipped", "Files left out"), ("again", "Make it again")]
    return element("nav", element("ul", *(element("li", element("a", label, href=f"#{name}")) for name, label in links)),
                   aria_label="Contents")


# --- how to read it ---

def reading_guide(results):
    """How to read the tables, and what differs from the paper."""
    yield element("h2", "How to read this")
    yield element("p", "“Ours” stands beside “paper”. An accuracy is a share of test songs, with its 95 % Wilson "
                       "interval in brackets: so many songs cannot tell apart what lies inside it. p is McNemar's exact "
                       "test against MFCCs on the same songs; below 0.05 the difference is hardly chance.")
    yield element("p", "In the strips from 0 to 1 the dot is ours, the pale bar its interval, the upright stroke the "
                       "paper's accuracy.")
    yield element("h3", "What differs from the paper")
    first = next(iter(results.values()))
    yield element("ol", *(element("li", element("b", f"{topic}. "), text) for topic, text in deviations(first)))


def deviations(result):
    """Where the experiment is not, or may not be, the paper's: list of (topic, text)."""
    unknown = defaultdict(lambda: "unknown")
    settings = unknown | result.get("settings", {})
    training = unknown | result.get("settings", {}).get("training", {})
    patience = training["patience"] or "ten epochs of"
    return [
        ("Data set", f"The paper's is GTZAN, 1,000 clips of 30 s; here {DATASETS.get(result.get('dataset'), '')}."),
        ("Split", "The paper's 50/20/30 % split is not published. Ours: "
                  f"“{settings['split']}”, drawn with the seed; the songs are in seed-<n>/split.csv."),
        ("Frames", "The paper names no window for the DFT; ours: "
                   f"{settings['window'] or 'rectangular'}. A frame starts every {settings['hop_length']} samples."),
        ("Input scaling", f"Not stated; ours: “{settings['scaling']}”, fitted on the training songs alone, with "
                          f"{training['visible']} visible units."),
        ("Training", "Minibatch, initial weights and patience are not stated; ours: minibatches of "
                     f"{training['batch_size']}, the weights of the deeplearning.net tutorials, at least "
                     f"{patience} minibatches."),
        ("Hyper-parameters", "The paper tried about 200 combinations and kept the best; Table 1 shows which values "
                             "this run was given, and the paper's."),
        ("MFCCs", f"No details in the paper; ours: {settings['n_mfcc']} coefficients with the zeroth, "
                  f"{settings['n_mels']} mel bands of {value_text(settings['f_min'])} to "
                  f"{value_text(settings['f_max'])} Hz, {settings['mfcc_window']} window."),
        ("SVM", "C and γ are not stated; ours are chosen on the validation songs, never on the test songs, from the "
                "grids among the settings."),
        ("Software", "Theano then, PyTensor now; hours of training are of another machine and another decade."),
    ]


# --- one table or figure ---

def result_section(entry, result, out, results):
    """A table or figure: what it is, its rows, its pictures, how to make it again; or that it is not made yet."""
    badge = element("span", "synthetic", class_="badge") if result and result.get("dataset") == "synthetic" else None
    section = element("section", element("h2", entry.title, " " if badge is not None else None, badge),
                      element("p", f"Paper: {entry.section}. {entry.about}", class_="soft"), id=entry.name)
    pictures = [(out / name, text) for name, text in entry.pictures]
    missing = [path.name for path, _ in pictures if not path.exists()]
    if result is None and len(missing) == len(pictures):
        section.append(element("p", "Not made yet. This makes it:"))
    else:
        section.extend(row_tables(result["rows"]) if result else [])
        section.extend(picture(path, text) for path, text in pictures if path.exists())
        section.append(element("p", f"Without {', '.join(missing)}, which is not there. " if missing else None,
                               "Made by:", class_="soft"))
    section.append(command_block(command_of(entry.name, result, results)))
    return section


def command_of(name, result, results):
    """The command that made a result; of one that is not there, with the arguments of the first that is."""
    for label, other in [(None, result or {}), *results.items()]:
        if "command" in other:
            return other["command"] if label is None else command(name, shlex.split(other["command"])[3:])
    return command(name, [])


def row_tables(rows):
    """The rows as a table, and each of their dicts (as the recall of each class) as one of its own."""
    has_accuracy = any("accuracy" in row for row in rows)
    keys = list(dict.fromkeys(key for row in rows for key, value in row.items() if value is not None))
    dicts = [key for key in keys if any(isinstance(row.get(key), dict) for row in rows)]
    fixed = ["name", "value", "accuracy", "ci95", "paper", *dicts]
    if all(len(row.get("accuracies", [])) < 2 for row in rows):
        fixed.append("accuracies")
    others = [key for key in keys if key not in fixed]
    header = ["", "ours", "paper", *(["0 to 1"] if has_accuracy else []), *(COLUMNS.get(key, key) for key in others)]
    yield table(header, [[row.get("name", ""), _ours(row), _cell(row.get("paper"), "accuracy" in row),
                          *([_mark(row)] if has_accuracy else []),
                          *(_cell(row.get(key), key == "accuracies") for key in others)] for row in rows])
    for key in dicts:
        names = list(dict.fromkeys(name for row in rows for name in row.get(key) or {}))
        yield element("h3", COLUMNS.get(key, key))
        yield table(["", *(row.get("name", "") for row in rows)],
                    [[name, *(_cell((row.get(key) or {}).get(name), True) for row in rows)] for name in names])


def _ours(row):
    if "accuracy" not in row:
        return _cell(row.get("value"))
    low_high = row.get("ci95")
    interval = element("small", f" [{', '.join(f'{bound:.3f}' for bound in low_high)}]") if low_high else None
    return element("span", _cell(row["accuracy"], True), interval)


def _mark(row):
    if "accuracy" not in row:
        return None
    return accuracy_mark(row["accuracy"], row.get("ci95"), row.get("paper"))


def _cell(value, is_share=False):
    """A cell's text: three decimals for a share, two significant digits or more for other numbers."""
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ", ".join(_cell(part, is_share) for part in value)
    return f"{value:.3f}" if is_share and isinstance(value, (int, float)) else value_text(value)


# --- the end of the page ---

def settings_section(results):
    """Every option used."""
    yield element("h2", "Settings", id="settings")
    yield element("p", "The names are those of experiments/profiles.py and dbn/settings.py, where each is explained; on "
                       "the command line frame_length is --frame-length.", class_="soft")
    groups = by_value(results, lambda result: json.dumps(result.get("settings", {})))
    for text, labels in groups.items():
        settings = json.loads(text)
        settings |= settings.pop("training", {})
        if len(groups) > 1:
            yield element("h3", ", ".join(labels))
        yield pairs([(name, "none" if value is None else _cell(value)) for name, value in settings.items()],
                    class_="settings")


def times_section(results):
    """Seconds of every step, for every result."""
    yield element("h2", "Times", id="times")
    yield element("p", "Wall-clock time. Of steps that belong to a seed, such as the training, the mean over the seeds; "
                       "what one script made the next ones reuse.", class_="soft")
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


def again_section(results, out):
    """How to make all of it again."""
    yield element("h2", "Make it again", id="again")
    yield element("p", "In the repository's folder; what is there already is reused, so delete the results folder for a "
                       "fresh start. The same seed gives the same numbers.", class_="soft")
    made = [result["command"] for result in results.values() if "command" in result]
    yield command_block("make setup", ". .venv/bin/activate", *made, command("report", ["--out", str(out)]))


if __name__ == "__main__":
    run_script(main)
