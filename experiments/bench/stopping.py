"""Compare rules of early stopping with going on: the validation accuracy that each loses, and the epochs it makes.

    python -m experiments.bench.stopping
    python -m experiments.bench.stopping --folder ~/gtzan-mini/genres ~/sounds

Networks of the paper's settings, and of others such as a search draws, are fine-tuned for ``--epochs`` epochs without
early stopping. Each rule is then asked at which epoch it had ended the training. It loses the best validation frame
accuracy of all epochs minus the best until that one, in points. The corpora are scikit-learn's digits, the synthetic
corpus in three sizes, and each ``--folder`` of real sounds with one sub-folder a class. Test songs play no part.

It takes about ten minutes of one free core, by an estimate, and four more for each folder: ``--frames`` bounds both.
Stopped, the same command goes on.
"""
import argparse
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from dbn.audio.frames import FrameSet
from dbn.audio.scaling import Scaling
from dbn.system.files import atomic_path
from dbn.system.progress import progress_bar
from dbn.system.stored import SHARE, kept_json
from dbn.training import TrainingSettings, train
from experiments.search.inputs import PARTS, chosen_frames
from experiments.steps.options import parse, run_script
from experiments.steps.pipeline import Corpora, Run
from experiments.steps.reporting import markdown_table

SYNTHETIC = ((6, 6.0), (12, 10.0), (40, 20.0))  # clips a genre, seconds of a clip

# by name: the scaling, and what differs from the paper's settings
SETTINGS = {
    "paper's": ("minmax", {}),
    "log inputs": ("log", {}),
    "Gaussian units": ("standardize", {"visible": "gaussian"}),
    "low rate": ("minmax", {"finetune_lr": 0.01}),
    "high rate": ("minmax", {"finetune_lr": 0.5, "batch_size": 10}),
    "large minibatch": ("minmax", {"batch_size": 200}),
    "wide": ("log", {"hidden_layers_sizes": (200, 200), "batch_size": 50}),
}

PATIENCES = (10, 20, 30, 50, 75, 100)
HALF_A_POINT = 0.5


@dataclass(frozen=True)
class Curve:
    """A training that went on to the end.

    Attributes
    ----------
    corpus, name : str
        The name is one of :data:`SETTINGS`.
    seed : int
        Of the split and of the training.
    errors : tuple of float
        Validation frame errors: before fine-tuning, and after each epoch.
    """

    corpus: str
    name: str
    seed: int
    errors: tuple


def main(argv=None):
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments.bench.stopping", description=__doc__.split("\n")[0],
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--folder", type=Path, nargs="+", default=[], metavar="DIR", help="real sounds")
    parser.add_argument("--epochs", type=int, default=200, help="to which a training goes on")
    parser.add_argument("--seeds", type=int, default=2, help="splits, each with a training of its own")
    parser.add_argument("--frames", type=int, default=15_000, help="the most to train on; half as many to validate on")
    parser.add_argument("--out", type=Path, default=Path("results/stopping"), help="where the trainings are kept")
    options = parser.parse_args(argv)
    curves = record(corpora(options.folder), options.seeds, options.epochs, options.frames, options.out)
    print(f"{len(curves)} trainings of {options.epochs} epochs. A cell: points of validation frame accuracy lost, mean "
          "(most); epochs, mean.\n")
    print(report(curves))


def corpora(folders):
    """By name, the arguments of :func:`experiments.steps.options.parse` that lead to a corpus; None for the digits."""
    found = {"digits": None}
    for clips, seconds in SYNTHETIC:
        found[f"synthetic-{clips}x{seconds:g}s"] = ["--clips-per-genre", str(clips), "--clip-seconds", str(seconds)]
    return found | {str(folder): ["--dataset", "folder", "--root", str(folder)] for folder in folders}


def record(chosen, n_seeds, n_epochs, n_frames, out):
    """Train the network of every one of :data:`SETTINGS` that is not there yet.

    Parameters
    ----------
    chosen : dict of str to list of str or None
        See :func:`corpora`.
    n_seeds, n_epochs, n_frames : int
        See the options of the command.
    out : pathlib.Path
        Gets a folder for each corpus.

    Returns
    -------
    list of Curve
    """
    curves = []
    tasks = [(corpus, seed) for corpus in chosen for seed in range(n_seeds)]
    with progress_bar("early stopping", total=len(tasks) * len(SETTINGS), unit="training") as bar:
        for corpus, seed in tasks:
            folder = out / f"{Path(corpus).name}-{hashlib.sha256(corpus.encode()).hexdigest()[:8]}"
            sets_of = cache(_digits(seed) if chosen[corpus] is None else _songs(chosen[corpus], folder, seed, n_frames))
            for name, (kind, changes) in SETTINGS.items():
                settings = TrainingSettings(**changes, finetune_epochs=n_epochs, patience=n_epochs, seed=seed)
                errors = validation_errors(*sets_of(kind), settings, folder / f"{name}-{seed}")
                curves.append(Curve(corpus, name, seed, errors))
                bar.update()
    return curves


def _digits(seed):
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(x))
    parts = np.split(order, [len(x) // 2, len(x) * 7 // 10])[:2]  # as many as of the songs (§4.1)

    def sets_of(kind):
        train_set, valid_set = (FrameSet.from_arrays(x[rows], y[rows]) for rows in parts)
        scaling = Scaling(kind).fit(rows for rows, _ in train_set.blocks())
        return train_set.with_scaling(scaling), valid_set.with_scaling(scaling), 10

    return sets_of


def _songs(arguments, folder, seed, n_frames):
    run = Run(Corpora(parse("", [*arguments, "--out", str(folder)])), seed)
    chosen = chosen_frames(run, {"train": n_frames, "valid": n_frames // 2})

    def sets_of(kind):
        scaling = Scaling(kind).fit(x for x, _ in run.songs("train").blocks())
        sets = [run.songs(part, scaling) for part in PARTS]
        return *(FrameSet.from_arrays(songs.read(chosen[part]), songs.labels[chosen[part]])
                 for part, songs in zip(PARTS, sets)), len(run.corpora.store.classes)

    return sets_of


def validation_errors(train_set, valid_set, n_outs, settings, directory):
    """The errors of a :class:`Curve`; a training that lies in `directory` goes on from there.

    Raises
    ------
    DBNError
        See :func:`dbn.training.train`.
    """
    options = {"directory": directory, "progress": False}
    before = kept_json(directory / "before.json", SHARE)
    if before is None:  # of a training that has begun it would be the best error since
        before = train(train_set, valid_set, n_outs, settings, max_epoch=0, **options).best_error
        with atomic_path(directory / "before.json") as path:
            path.write_text(json.dumps(before))
    history = train(train_set, valid_set, n_outs, settings, **options).history
    return before, *(entry["valid_error"] for entry in history if entry["stage"] == "finetune")


def waits(patience):
    """The rule of :func:`dbn.training.loops.finetune`: so many epochs in a row without a lower error."""
    def last_epoch(errors):
        best = 0
        for epoch in range(1, len(errors)):
            if errors[epoch] < errors[best]:
                best = epoch
            if epoch - best >= patience:
                return epoch
        return len(errors) - 1

    return last_epoch


def doubles(n_epochs):
    """The tutorial's rule: `n_epochs`, or twice those until the last error below 0.995 of the one before, if more.

    The tutorial counts minibatches from 0, so that it ends one before the end of the second half and does not measure
    its last epoch.
    """
    def last_epoch(errors):
        best, last = np.inf, n_epochs
        for epoch in range(1, len(errors)):
            if errors[epoch] < best * 0.995:
                last = max(last, 2 * epoch - 1)
            best = min(best, errors[epoch])
            if epoch >= last:
                return epoch
        return len(errors) - 1

    return last_epoch


def rules():
    """By name, functions from the errors of a curve to the epoch at which they end it."""
    default = TrainingSettings().patience
    waiting = {f"{n} epochs without a lower error{' (the default)' if n == default else ''}": waits(n)
               for n in sorted({*PATIENCES, default})}
    return {"the tutorial's: 4 epochs, doubled": doubles(4), "10 epochs, doubled": doubles(10), **waiting}


def lost(errors, last_epoch):
    """Points of validation frame accuracy that are lost by ending a curve there."""
    return 100 * (min(errors[:last_epoch + 1]) - min(errors))


def report(curves):
    """The table in Markdown: a line a rule, a column a corpus, and all curves together."""
    names = sorted({curve.corpus for curve in curves}, key=[curve.corpus for curve in curves].index)
    rows = []
    for rule, last_epoch in rules().items():
        ends = [last_epoch(curve.errors) for curve in curves]
        losses = [lost(curve.errors, end) for curve, end in zip(curves, ends)]
        cells = [_cell([i for i, curve in enumerate(curves) if curve.corpus == name], losses, ends) for name in names]
        worst = curves[int(np.argmax(losses))]
        rows.append([rule, *cells, _cell(range(len(curves)), losses, ends),
                     f"{np.mean(np.array(losses) > HALF_A_POINT):.0%}",
                     f"{worst.corpus}, {worst.name}, seed {worst.seed}" if max(losses) else ""])
    return markdown_table(["rule", *names, "all", "more than half a point", "the most in"], rows)


def _cell(chosen, losses, ends):
    chosen_losses = [losses[i] for i in chosen]
    return f"{np.mean(chosen_losses):.2f} ({max(chosen_losses):.2f}); {np.mean([ends[i] for i in chosen]):.0f}"


if __name__ == "__main__":
    run_script(main)
