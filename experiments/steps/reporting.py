"""From rows to the files a reader opens: JSON, Markdown, and the lines printed on the terminal."""
import json
import platform
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from joblib import cpu_count

from dbn.system.files import atomic_path
from dbn.system.versions import versions
from experiments.steps.judging import judged_text
from experiments.steps.options import command
from experiments.steps.pipeline import warnings_of
from experiments.steps.provenance import Origin, made_with

SYNTHETIC_NOTE = "Synthetic corpus, no music: these numbers are not to be compared with the paper's."


def range_text(values):
    """A number in four digits; of a list of numbers, "smallest–largest", or the one number that all of them are."""
    values = np.atleast_1d(values)
    return "–".join(f"{value:.4g}" for value in dict.fromkeys([values.min(), values.max()]))


def table_result(table, options, corpora, runs, rows, seconds, parts):
    """What the JSON of a table of genres holds: see :func:`result_of`; `parts` are what went into its rows.

    Beside the numbers of songs of the first seed it has those of every seed, ``n_songs_of_seeds``.
    """
    origin = Origin(corpora.about, [("frames", corpora.store.versions), *parts], corpora.store.skipped,
                    warnings_of([(corpora, runs)]))
    n_songs = [run.n_songs() for run in runs]
    return result_of(table, options, n_songs[0], rows, seconds, origin) | {"n_songs_of_seeds": n_songs}


def result_of(table, options, n_songs, rows, seconds, origin):
    """What every table's JSON holds: its rows, all options, the songs, how, when, where, of and by what it was made.

    Parameters
    ----------
    table : str
        Name of the script.
    options : argparse.Namespace
        See :func:`experiments.steps.options.parse`.
    n_songs : dict of str to int
        By part of the split.
    rows : list of dict
    seconds : dict of str to float
        Of every step.
    origin : experiments.steps.provenance.Origin
        This process, which makes the result of the parts, is added to them.

    Returns
    -------
    dict
    """
    return {"table": table, "dataset": options.dataset, "profile": options.profile_name, "seed": options.seed,
            "repeats": options.repeats, "n_songs": n_songs, "rows": rows,
            "settings": asdict(options.profile), "winner_of_search": options.winner, "seconds": seconds,
            "made_with": made_with([*origin.parts, (table, versions())]), "corpus": origin.corpus,
            "skipped": [{"file": file, "why": why} for file, why in origin.skipped], "warnings": origin.warnings,
            "command": command(table, options.argv),
            "made": datetime.now(timezone.utc).isoformat(timespec="seconds"), "machine": machine()}


def machine():
    """What computed: a dict of ``cpu``, ``cores`` (that this process may use) and ``system``."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {"cpu": models[0] if models else platform.processor() or platform.machine(), "cores": cpu_count(),
            "system": platform.platform()}


def corpus_name(dataset):
    """A data set's name in a heading, which says so where it is synthetic."""
    return "synthetic corpus" if dataset == "synthetic" else dataset


def heading(result, title):
    """Title, corpus, number of songs and seeds of a table of genres in Markdown, and how its accuracies are judged."""
    songs = songs_texts(result)
    return (f"## {title}; {corpus_name(result['dataset'])}, profile {result['profile']}\n\n"
            f"{songs['train']} training, {songs['valid']} validation and {songs['test']} test songs; "
            f"{_seeds_text(result)}. {judged_text(result)}{network_text(result)}")


def songs_texts(result):
    """How many songs each part has: a dict of text; of splits of different sizes the least and the most."""
    first = result.get("n_songs", {})
    of_seeds = result.get("n_songs_of_seeds", [first])
    counts = {part: [songs[part] for songs in of_seeds] for part in first}
    return {part: "–".join(map(str, sorted({min(of_part), max(of_part)}))) for part, of_part in counts.items()}


def _seeds_text(result):
    first, repeats = result["seed"], result["repeats"]
    if repeats == 1:
        return f"seed {first}"
    splits = "the same ones in all" if result["judged"]["one_split"] else f"in each of {repeats} splits"
    return f"{splits}, seeds {first} to {first + repeats - 1}"


def network_text(result):
    """A sentence about the network if its settings won a search, else ""; for every table and figure of it."""
    winner = result["winner_of_search"]
    return "" if winner is None else (
        f" The network's settings are those of point {winner['point']}, which won the search among "
        f"{winner['n_points']} points with a validation frame error of {winner['best_error']:.4f}.")


def value_text(value):
    """A number of any size, or a text, as a table shows it; "none" for None."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 or value.is_integer() else f"{value:.4g}"
    return str(value)


def units_text(sizes):
    """"50" for equal layers, else "100-50-25"."""
    return str(sizes[0]) if len(set(sizes)) == 1 else "-".join(str(size) for size in sizes)


def markdown_table(header, rows):
    """A Markdown table of texts whose columns also line up as plain text."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]

    def line(row):
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"

    return "\n".join([line(cells[0]), "|" + "|".join("-" * (width + 2) for width in widths) + "|",
                      *(line(row) for row in cells[1:])])


def write_table(out, result, text):
    """Write ``<table>.json`` and ``<table>.md`` into the folder `out`, and print the latter.

    Parameters
    ----------
    out : pathlib.Path
        The run's folder.
    result : dict
        See :func:`result_of`.
    text : str
        The table in Markdown with its heading.
    """
    if result["dataset"] == "synthetic":
        text += f"\n\n{SYNTHETIC_NOTE}"
    if result["warnings"]:
        text += "\n\nWarnings:\n\n" + "\n".join(f"- {warning}" for warning in result["warnings"])
    if result["skipped"]:
        text += f"\n\nLeft out, {len(result['skipped'])} file(s):\n\n" + "\n".join(
            f"- {entry['file']}: {entry['why']}" for entry in result["skipped"])
    for suffix, content in ((".json", json.dumps(result, indent=1, allow_nan=False)), (".md", text)):
        with atomic_path(out / f"{result['table']}{suffix}") as path:
            path.write_text(content + "\n")
    print(f"\n{text}\n\nwritten: {out / result['table']}.md and .json")
