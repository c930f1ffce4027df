"""What the search found: its ranking, the ten best points beside the paper's own setting, and two pictures (§4.1).

Everything is made from the records that the search has left, one file a point; nothing is trained here and no test
song is looked at.
"""
import json
from collections import Counter
from dataclasses import asdict
from functools import partial

from dbn.errors import DamagedError, DBNError
from dbn.system.files import disk_errors
from dbn.system.stored import COUNT, read_json
from experiments.profiles import PROFILES
from experiments.search import pictures as sweep_pictures
from experiments.search.records import RECORD, is_whole
from experiments.search.space import name_of
from experiments.steps.options import command
from experiments.steps.pipeline import Corpora, Run
from experiments.steps.reporting import corpus_name, markdown_table, table_result, units_text, value_text, write_table
from experiments.steps.winner import TAKEN

TITLE = "Search: hyper-parameters"
N_BEST = 10  # points in the table, and in colour among the learning curves

STATUSES = {"finished": "reached the last rung", "halved": "stopped before it", "diverged": "diverged",
            "failed": "failed"}

LABELS = {"output": "outputs", "pretrain_lr": "pre-training rate", "pretrain_epochs": "pre-training epochs",
          "k": "Gibbs steps", "finetune_lr": "fine-tuning rate", "batch_size": "minibatch"}


def write(options, folder):
    """Write ``sweep.json``, ``sweep.md``, ``sweep-marginals.png`` and ``sweep-learning.png`` into the results folder.

    Parameters
    ----------
    options : argparse.Namespace
        See :func:`experiments.steps.options.parse`.
    folder : pathlib.Path
        Of the search: ``plan.json`` and the rungs' records. A search that is not finished is reported as far as it
        has come.

    Returns
    -------
    dict
        What ``sweep.json`` holds: the keys of every table, where ``rows`` are the points, best first (see
        :func:`ranked`), and those of :func:`summary`.

    Raises
    ------
    DBNError
        No point is there, or a record is damaged.
    """
    plan, points, paper = read_records(folder, options)
    corpora = Corpora(options)
    found = summary(plan, points, paper)
    parts = [("points", record["versions"]) for record in [*points, *([paper] if paper else [])]]
    result = table_result("sweep", options, corpora, [Run(corpora, options.seed)], found.pop("rows"),
                          corpora.seconds(), parts) | found
    write_table(options.out, result, as_markdown(result))
    title = f"{corpus_name(options.dataset)}, profile {options.profile_name}, seed {options.seed}"
    described = [record | {"choices": choices(record["settings"])} for record in ranked(points)]
    paper = paper and paper | {"choices": choices(paper["settings"]), "called": called(paper["settings"])}
    sweep_pictures.marginals(options.out / "sweep-marginals", described, paper, searched(points), title)
    sweep_pictures.learning_curves(options.out / "sweep-learning", described, paper, N_BEST, title)
    return result


def read_records(folder, options):
    """The plan, the points that are there, and the paper's setting.

    Returns
    -------
    plan : dict
        ``n_points``, and ``rungs``: by name the numbers of ``train`` and ``valid`` frames, and ``epochs``.
    points : list of dict
        One a point that is done, in the order of their numbers: see :func:`merged`.
    paper : dict or None
        The paper's own setting likewise, None while it is not there.
    """
    plan = _read(folder / "plan.json", {"n_points": COUNT, "rungs": {str: {str: COUNT}}})
    found = [{path.stem: _read(path, RECORD, partial(_belongs, path.stem))
              for path in sorted((folder / name).glob("[!.]*.json"))} for name in plan["rungs"]]
    points = {name: merged([rung[name] for rung in found if name in rung], len(found)) for name in found[0]}
    paper = points.pop("paper", None)
    if not points:
        raise DBNError(f"{folder}: the search has no point yet; begin it with\n  {command('sweep', options.argv)}")
    return plan, sorted(points.values(), key=lambda record: record["point"]), paper


def merged(records, n_rungs):
    """What the records of a point in its rungs say together.

    Parameters
    ----------
    records : list of dict
        In the order of the rungs.
    n_rungs : int
        Of the search.

    Returns
    -------
    dict
        That of the last rung that the point reached, with status "halved" and stopped by "halving" where others went
        on to the next, ``seconds`` of all rungs, and ``errors``: the validation error in each of its rungs.
    """
    last = records[-1]
    is_halved = last["status"] == "finished" and len(records) < n_rungs
    return last | ({"status": "halved", "stopped": "halving"} if is_halved else {}) | {
        "seconds": sum(record["seconds"] for record in records), "errors": [record["best_error"] for record in records]}


def _belongs(name, record):
    """Whether a record is whole, and that of the point that the file is named by."""
    point = record["point"]
    return is_whole(record) and name == ("paper" if point == "paper" else name_of(point))


def _read(path, *form):
    try:
        with disk_errors(path):
            return read_json(path, *form)
    except DamagedError as error:
        raise DBNError(f"{error}; delete it and run the search again, which makes it anew") from error


def ranked(points):
    """The points in the order in which equal budgets put them.

    First those that reached the last rung, then those that an earlier one stopped, the later the better; among equals
    by validation frame error, the lower number first where it is the same; last those without an error.
    """
    return sorted(points, key=lambda record: (record["best_error"] is None, -len(record["errors"]),
                                              record["best_error"] or 0.0, record["point"]))


def through_rungs(rungs, points, paper):
    """What each rung compared, and where the paper's setting stands in it, which takes no part in the halving.

    Parameters
    ----------
    rungs : dict of str to dict
        Of the plan.
    points : list of dict
        The points that are done, as :func:`merged` gives them.
    paper : dict or None
        The paper's own setting likewise.

    Returns
    -------
    list of dict
        For each rung its sizes as in the plan, the number of ``points`` that it compared and of those that
        ``went_on`` to the next (None for the last), and ``paper_rank`` (None without an error).
    """
    stages = []
    for i, sizes in enumerate(rungs.values()):
        errors = [record["errors"][i] for record in points if len(record["errors"]) > i]
        of_paper = paper["errors"][i] if paper and len(paper["errors"]) > i else None
        rank = None if of_paper is None else 1 + sum(error is not None and error < of_paper for error in errors)
        went_on = sum(len(record["errors"]) > i + 1 for record in points) if i + 1 < len(rungs) else None
        stages.append(sizes | {"points": len(errors), "went_on": went_on, "paper_rank": rank})
    return stages


def summary(plan, points, paper):
    """The ranking and what follows from it.

    Parameters
    ----------
    plan : dict
        See :func:`read_records`.
    points : list of dict
        The points that are done, as :func:`merged` gives them.
    paper : dict or None
        The paper's own setting likewise.

    Returns
    -------
    dict
        ``rows`` (the points, best first, with their ``rank``, None without an error), ``winner`` (the best of the
        last rung, or None), ``paper_setting`` (with ``rank``, the place that it would have among the points of the
        last rung, and ``distance``, its error minus the winner's), ``rungs`` (see :func:`through_rungs`),
        ``n_points``, ``counts`` (points of each status, and ``missing``),
        ``points_seconds`` (sum over all processes), ``points_an_hour`` (of one process), ``shown`` (the ten best and
        the paper's setting as a page shows them).
    """
    rows = [_row(record, rank if record["best_error"] is not None else None)
            for rank, record in enumerate(ranked(points), 1)]
    at_end = [record for record in points if record["status"] == "finished"]
    winner = next((row for row in rows if row["status"] == "finished" and row["rank"]), None)
    paper_row = paper and _row(paper, _place(paper, at_end))
    if paper_row:
        paper_row["distance"] = (paper_row["best_error"] - winner["best_error"]
                                 if winner and paper_row["rank"] else None)
    seconds = sum(record["seconds"] for record in points)
    statuses = Counter(record["status"] for record in points)
    return {"rows": rows, "winner": winner, "paper_setting": paper_row, "n_points": plan["n_points"],
            "rungs": through_rungs(plan["rungs"], points, paper),
            "counts": {**statuses, "missing": plan["n_points"] - len(points)}, "points_seconds": seconds,
            "points_an_hour": 3600 * len(points) / seconds if seconds else None,
            "shown": _shown(rows, paper_row, len(at_end) + 1, searched(points))}


def _row(record, rank):
    """A record without its long parts."""
    return {"rank": rank} | {name: value for name, value in record.items() if name not in ("history", "versions")}


def _place(record, points):
    """The rank of a record that is not among the points; None without an error."""
    if record["best_error"] is None:
        return None
    return 1 + sum(other["best_error"] is not None and other["best_error"] < record["best_error"] for other in points)


def _shown(rows, paper_row, n_ranked, names):
    """The ten best and the paper's setting, with these hyper-parameters: list of dict of column to value."""
    named = [(str(row["rank"]), row) for row in rows[:N_BEST] if row["rank"]]
    if paper_row:
        rank = f"rank {paper_row['rank']} of {n_ranked}" if paper_row["rank"] else paper_row["status"]
        named.append((f"{called(paper_row['settings'])} ({rank})", paper_row))
    return [{"name": name, "point": row["point"] if row is not paper_row else None,
             "frame error": row["best_error"], "epoch": row["best_epoch"],
             **{name: _rounded(value) for name, value in choices(row["settings"]).items() if name in names},
             "parameters": f"{row['n_parameters']:,}" if row["n_parameters"] else None,
             "ended by": row["stopped"] or row["status"], "seconds": round(row["seconds"], 1)} for name, row in named]


def _rounded(value):
    """A drawn rate in three digits, whatever else as it is."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def choices(settings):
    """The hyper-parameters of a point as a reader sees them.

    Parameters
    ----------
    settings : dict
        The fields of :class:`dbn.training.settings.TrainingSettings`, and ``scaling``.

    Returns
    -------
    dict
        By what they are called: number of layers, units of each (a text where they differ), how the inputs are
        scaled and for which kind of units, and the other settings, but for the epochs, which are the rung's.
    """
    others = {name: value for name, value in settings.items() if name != "finetune_epochs"}
    sizes = others.pop("hidden_layers_sizes")
    return {"layers": len(sizes), "units a layer": sizes[0] if len(set(sizes)) == 1 else units_text(sizes),
            "inputs": f"{others.pop('scaling')}, {others.pop('visible')}",
            **{LABELS.get(name, name): value for name, value in others.items()}}


def called(settings):
    """What the setting that stands beside the points is called: the paper's, unless an option has changed it."""
    paper = asdict(PROFILES["paper"].training) | {"scaling": PROFILES["paper"].scaling}
    settings, paper = (json.loads(json.dumps(of)) for of in (settings, paper))  # where tuples are lists
    is_same = all(settings[name] == paper[name] for name in TAKEN)
    return "the paper's setting" if is_same else "the profile's setting"


def searched(points):
    """The names among :func:`choices` that differ between the points: list of str."""
    chosen = [choices(record["settings"]) for record in points]
    return [name for name in chosen[0] if len({of_point[name] for of_point in chosen}) > 1]


def as_markdown(result):
    """The ten best points as a table, the paper's setting as its last line, and what became of all points."""
    shown = result["shown"]
    columns = [name for name in shown[0] if name != "name"] if shown else []
    cells = [[row["name"], *("" if row[name] is None else value_text(row[name]) for name in columns)] for row in shown]
    songs, settings, last = result["n_songs"], result["settings"], result["rungs"][-1]
    training = _frames_text(last["train"], settings["sweep_frames"], f"{songs['train']} songs")
    validation = _frames_text(last["valid"], settings["sweep_valid_frames"], f"{songs['valid']} validation songs")
    return (f"## {TITLE}; {corpus_name(result['dataset'])}, profile {result['profile']}\n\n"
            f"{result['n_points']} points drawn at random with seed {result['seed']}, in the last rung trained on "
            f"{training} and ranked by their share of wrong frames among {validation}; those that reached it come "
            f"first. The {songs['test']} test songs were not looked at.\n\n"
            f"{markdown_table(['', *columns], cells)}\n\n{_remarks(result)}")


def _rung_text(number, rung, name):
    what = f"Rung {number}: {rung['points']} points, {rung['train']:,} frames, at most {rung['epochs']} epochs"
    rank, went_on = rung["paper_rank"], rung["went_on"]
    place = f"; {name} is number {rank} of {rung['points'] + 1}" if rank else ""
    return what + place + ("." if went_on is None else f"; {went_on} went on.")


def _frames_text(n_frames, limit, songs):
    are_drawn = limit is not None and n_frames == limit
    return f"{n_frames:,} frames, drawn at random, of {songs}" if are_drawn else f"all {n_frames:,} frames of {songs}"


def _remarks(result):
    """Where the paper's setting stands, how the points ended, how long they took."""
    paper, winner = result["paper_setting"], result["winner"]
    remarks = []
    if winner is None:
        remarks.append("No point reached the last rung and has a validation error: there is no winner.")
    elif paper and paper["distance"] is not None:
        side = "above" if paper["distance"] >= 0 else "below"
        n_ranked = 1 + sum(row["status"] == "finished" for row in result["rows"])
        remarks.append(f"Among the points of the last rung {called(paper['settings'])} would be number "
                       f"{paper['rank']} of {n_ranked}: its validation frame error is {abs(paper['distance']):.4f} "
                       f"{side} that of the winner, point {winner['point']}.")
    if len(result["rungs"]) > 1:
        name = paper and called(paper["settings"])
        remarks += [_rung_text(number, rung, name) for number, rung in enumerate(result["rungs"], 1)]
    counts = result["counts"]
    ends = [f"{counts[status]} {words}" for status, words in STATUSES.items() if counts.get(status)]
    remarks.append(f"Of {result['n_points']} points: {', '.join(ends)}"
                   + (f"; {counts['missing']} not done yet." if counts["missing"] else "."))
    failed = [row for row in result["rows"] if row["status"] == "failed"]
    if failed:
        remarks.append(f"Point {failed[0]['point']} failed with “{failed[0]['error']}”"
                       + (f", {len(failed) - 1} others are in sweep.json." if failed[1:] else "."))
    if result["points_an_hour"]:
        remarks.append(f"Together the points took {result['points_seconds']:,.0f} s: "
                       f"{result['points_an_hour']:,.0f} points an hour in each process.")
    return " ".join(remarks)
