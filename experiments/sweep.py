"""The search for hyper-parameters (§4.1): points drawn at random, ranked by their frame error on validation songs."""
import hashlib
import json
import math
import secrets
from dataclasses import replace
from functools import partial

from dbn.errors import DamagedError, DBNError
from dbn.system.files import atomic_path, disk_errors, sole_writer
from dbn.system.interrupts import ended_by_interrupt
from dbn.system.stored import COUNT, read_json
from experiments.profiles import SPACE
from experiments.search import report as sweep_report
from experiments.search.halving import Search
from experiments.search.inputs import chosen_frames, make_inputs, remove_inputs
from experiments.search.pool import results, workers
from experiments.search.space import Point, draw_point
from experiments.search.worker import compile_first, train_point
from experiments.steps.options import STOPPED, parse, run_script
from experiments.steps.pipeline import Corpora, Run, warn
from experiments.steps.winner import songs_of_plan

TITLE = "Search: hyper-parameters"
OWN_OPTIONS = {"--scheduler": {"metavar": "ADDRESS", "help": "train on the workers of this Dask scheduler, such as "
                               "tcp://host:8786, instead of --jobs processes; all machines share --out's file system"}}

FORMAT = 1


def main(argv=None):
    """Draw the points, train what is missing of them, rank them."""
    options = parse(__doc__, argv, OWN_OPTIONS)
    if options.winner:
        raise DBNError("--from-sweep is for what comes after the search; leave it out here")
    if options.network != "frames":
        raise DBNError("--network convolutional: the search draws settings of the paper's network; leave it out")
    n_points = options.profile.sweep_points
    if (options.profile.train_songs, options.profile.train_share) != (1, 1):
        raise DBNError("--train-songs and --train-share are for tables and questions; a search takes --sweep-frames")
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
        The folder with ``plan.json`` and ``points/``.

    Raises
    ------
    DBNError
        The folder holds another search, the disk is full, or the workers cannot be used.
    """
    profile = options.profile
    run = Run(Corpora(options), options.seed)
    split, store = run.split, run.corpora.store
    warn(run.corpora, [run])
    chosen = chosen_frames(run, {"train": profile.sweep_frames, "valid": profile.sweep_valid_frames})
    n_frames = {part: len(rows) for part, rows in chosen.items()}
    base = replace(run.settings, finetune_epochs=profile.sweep_epochs or profile.training.finetune_epochs)
    points = [draw_point(space, number, base, profile.scaling) for number in range(profile.sweep_points)]
    paper = Point("paper", None, base, profile.scaling)

    folder = options.out.resolve() / "sweep"
    inputs = folder / "inputs"
    with disk_errors(folder):
        (folder / "points").mkdir(parents=True, exist_ok=True)
    data = songs_of_plan(store, split) | {"number of frames": n_frames}
    data_key, start = hashlib.sha256(json.dumps(data).encode()).hexdigest(), secrets.token_hex(8)
    plan = {"format": FORMAT, "n_points": len(points), "halving": profile.sweep_halving,
            "space": {name: distribution.as_json() for name, distribution in space.items()},
            "settings": paper.as_json(), **data}

    def train(tasks):
        return results(train_point, {name: (folder, inputs, point, epochs, len(store.classes), data_key, start)
                                     for name, (point, epochs) in tasks.items()})

    with sole_writer(folder), workers(options.jobs, options.scheduler) as n_workers:
        agree_on_plan(folder / "plan.json", plan)
        the_search = Search(folder, points, paper, profile.sweep_halving, train, partial(cost, n_frames))
        seconds = the_search.expected_seconds()
        if seconds:
            print(f"about {math.ceil(seconds / n_workers / 60)} min with {n_workers} process(es), by an estimate, and "
                  "some for the compiler at its first time; stopped, the same command goes on", flush=True)
            make_inputs(inputs, run, sorted({point.scaling for point in [*points, paper]}), chosen)
            if n_workers > 1:
                compile_first([*points, paper])
        the_search.run()
        remove_inputs(inputs)
    return folder


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


def cost(n_frames, point, first, last):
    """About how many seconds a process trains a point from one epoch of fine-tuning to another.

    By what was measured on the machine that RESULTS.md names: every weight costs, more so in small minibatches, and
    every frame costs something that does not depend on the weights.

    Parameters
    ----------
    n_frames : dict of str to int
        Of "train" and "valid".
    point : experiments.search.space.Point
    first, last : int
        With `first` 0, pre-training is counted.
    """
    settings = point.settings
    sizes = settings.hidden_layers_sizes
    n_weights = 513 * sizes[0] + sum(below * above for below, above in zip(sizes, sizes[1:]))
    per_frame = 1.2e-6 + n_weights * (4.5e-11 + 6e-10 / settings.batch_size)
    pretraining = settings.pretrain_epochs * n_frames["train"] * (2 * per_frame + 1e-6 * len(sizes))
    epoch = (n_frames["train"] + n_frames["valid"] / 4) * per_frame
    return (pretraining if first == 0 else 0) + (last - first) * epoch


if __name__ == "__main__":
    run_script(main)
