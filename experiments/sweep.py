"""The search for hyper-parameters (§4.1): points drawn at random, ranked by their frame error on validation songs."""
import hashlib
import json
import math
import secrets
from dataclasses import replace

from dbn.errors import DamagedError, DBNError
from dbn.system.files import atomic_path, disk_errors, sole_writer
from dbn.system.interrupts import ended_by_interrupt
from dbn.system.stored import COUNT, read_json
from experiments.profiles import SPACE
from experiments.search import report as sweep_report
from experiments.search.halving import Search, at_rung
from experiments.search.inputs import chosen_frames, make_inputs, remove_inputs
from experiments.search.pool import results, workers
from experiments.search.rungs import MEASURED, rungs
from experiments.search.space import Point, draw_point
from experiments.search.worker import compile_first, train_point
from experiments.steps.options import STOPPED, parse, run_script
from experiments.steps.pipeline import Corpora, Run, warn
from experiments.steps.winner import DRAWN_SPLITS, songs_of_plan

TITLE = "Search: hyper-parameters"
OWN_OPTIONS = {"--scheduler": {"metavar": "ADDRESS", "help": "train on the workers of this Dask scheduler, such as "
                               "tcp://host:8786, instead of --jobs processes; all machines share --out's file system"}}

FORMAT = 3
AVERAGED = 200  # points by which the budget is laid out: as many for a search of any size, so that it can grow


def main(argv=None):
    """Draw the points, train what is missing of them, rank them."""
    options = parse(__doc__, argv, OWN_OPTIONS)
    if options.winner:
        raise DBNError("--from-sweep is for what comes after the search; leave it out here")
    if options.network != "frames":
        raise DBNError("--network convolutional: the search draws settings of the paper's network; leave it out")
    n_points = options.profile.sweep_points
    if (options.profile.train_songs, options.profile.train_share, options.profile.pretrain_songs) != (1, 1, "labelled"):
        raise DBNError("--train-songs, --train-share and --pretrain-songs are for tables and questions; a search takes "
                       "--sweep-frames")
    if options.repeats > 1 and options.profile.split in DRAWN_SPLITS:
        raise DBNError("--repeats: a search has one seed, and so have the tables that take its winner, unless the "
                       "--split is not drawn; leave it out")
    options.repeats = 1  # else the tables' alone
    print(f"{TITLE}: {n_points} points, {options.dataset}, profile {options.profile_name}; results go to "
          f"{options.out / 'sweep.md'}", flush=True)
    with ended_by_interrupt(STOPPED):
        folder = search(options)
    sweep_report.write(options, folder)


def search(options, space=SPACE):
    """Do the search, or what is left of it.

    Parameters
    ----------
    options : argparse.Namespace
        See :func:`experiments.steps.options.parse`; its first seed is that of the split, the draws and the training.
    space : dict
        See :mod:`experiments.search.space`.

    Returns
    -------
    pathlib.Path
        The folder with ``plan.json`` and the rungs' records.

    Raises
    ------
    DBNError
        The folder holds another search, the disk is full, or the workers cannot be used.
    """
    profile = options.profile
    run = Run(Corpora(options), options.seed)
    split, store = run.split, run.corpora.store
    warn([(run.corpora, [run])])
    limits = {"train": profile.sweep_frames, "valid": profile.sweep_valid_frames}
    n_frames = {part: min(limit or math.inf, run.songs(part).n_frames) for part, limit in limits.items()}
    base = replace(run.settings, finetune_epochs=profile.sweep_epochs or profile.training.finetune_epochs)
    drawn = [draw_point(space, number, base, profile.scaling) for number in range(max(AVERAGED, profile.sweep_points))]
    points, paper = drawn[:profile.sweep_points], Point("paper", None, base, profile.scaling)
    ladder = rungs(n_frames, base.finetune_epochs, profile.sweep_halving, profile.sweep_seconds, drawn[:AVERAGED])

    folder = options.out.resolve() / "sweep"
    inputs = folder / "inputs"
    with disk_errors(folder):
        for rung in ladder:
            (folder / rung.name).mkdir(parents=True, exist_ok=True)
    data = songs_of_plan(store, split)
    data_key, start = hashlib.sha256(json.dumps(data).encode()).hexdigest(), secrets.token_hex(8)
    plan = {"format": FORMAT, "n_points": len(points), "halving": profile.sweep_halving,
            "seconds": profile.sweep_seconds if profile.sweep_halving > 1 else None,  # of a point: how many go on
            "rungs": {rung.name: rung.n_frames | {"epochs": rung.epochs} for rung in ladder},
            "space": {name: distribution.as_json() for name, distribution in space.items()},
            "settings": paper.as_json(), **data}

    def train(rung, missing):
        kinds = sorted({point.scaling for point in missing})
        make_inputs(inputs / rung.name, run, kinds, chosen_frames(run, rung.n_frames))
        yield from results(train_point, {
            point.name: (folder / rung.name, inputs / rung.name, point, len(store.classes), data_key, start)
            for point in (at_rung(point, rung) for point in missing)})
        remove_inputs(inputs / rung.name)

    with sole_writer(folder), workers(options.jobs, options.scheduler) as n_workers:
        agree_on_plan(folder / "plan.json", plan)
        the_search = Search(folder, points, paper, ladder, profile.sweep_seconds * len(points) / len(ladder), train)
        seconds = the_search.expected_seconds()
        if seconds:
            print(_text(ladder))
            low, high = (math.ceil(times * seconds / n_workers / 60) for times in MEASURED)
            print(f"{low} to {high} min with {n_workers} process(es), by an estimate, and some for the compiler at its "
                  "first time; stopped, the same command goes on", flush=True)
            if n_workers > 1:
                compile_first([*points, paper])
        the_search.run()
        remove_inputs(inputs)
    return folder


def _text(ladder):
    """What the rungs are, a line for each."""
    return "\n".join(f"{rung.name}: {rung.n_frames['train']:,} training frames, {rung.n_frames['valid']:,} validation "
                     f"frames, at most {rung.epochs} epochs" for rung in ladder)


def agree_on_plan(path, plan):
    """Write the plan of a new search; of one that was begun before, make sure that it is the same.

    More points than before are welcome: the old ones are among them.

    Parameters
    ----------
    path : pathlib.Path
    plan : dict
        All that the records depend on, and ``n_points``.

    Raises
    ------
    DBNError
        The folder's search is another one; says which part of the plan differs.
    """
    plan = json.loads(json.dumps(plan))  # tuples become lists
    advice = f"choose another --out, or delete the folder {path.parent} to begin anew"
    if path.exists():
        try:
            old = read_json(path, {"n_points": COUNT})
        except DamagedError as error:
            raise DBNError(f"{error}; {advice}") from error
        if set(old) != set(plan):
            raise DBNError(f"{path}: not the plan of a search by this version; {advice}")
        changed = [text for name in plan if name != "n_points" for text in _changes(name, old[name], plan[name])]
        if old["n_points"] > plan["n_points"]:
            changed += _changes("n_points", old["n_points"], plan["n_points"])
        if changed:
            raise DBNError(f"{path}: the search here was begun with other values: {'; '.join(changed)}. Give the old "
                           f"ones to go on with it, {advice}")
    with disk_errors(path), atomic_path(path) as temporary:
        temporary.write_text(json.dumps(plan, indent=1) + "\n")


def _changes(name, old, new):
    """What differs between two values of a plan: texts."""
    if old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        return [text for key in {**old, **new} for text in _changes(f"{name}.{key}", old.get(key), new.get(key))]
    shown = f"was {json.dumps(old)}, now {json.dumps(new)}"
    return [f"{name} ({shown})" if len(shown) < 100 else name]


if __name__ == "__main__":
    run_script(main)
