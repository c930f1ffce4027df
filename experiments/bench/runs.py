"""Training runs at the size of a corpus, each in a process of its own: seconds an epoch and peak memory.

The corpus is a store of a few clips of noise whose songs are repeated: for the network an epoch over a song named ten
times is the same work as one over ten songs. Run as a script this module is one such run, whose numbers it prints.
"""
import json
import resource
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np

import experiments
from dbn.audio.frames import FrameSet, FrameStore
from dbn.audio.scaling import Scaling
from dbn.training.loops import train
from dbn.training.settings import TrainingSettings
from experiments.bench.common import row
from experiments.bench.extraction import noise_corpus

PAPER_PRETRAIN_EPOCHS, PAPER_FINETUNE_EPOCHS = 5, 474  # Table 1
REPEATED_CLIPS = 100


def run_rows(sizes, folder):
    """Runs at every size of corpus.

    Returns
    -------
    rows : list of dict
        The paper's model, and the memory.
    curve : list of dict
        For each run ``clips`` (all songs), ``pretrain_seconds`` and ``finetune_seconds`` (the median epoch's, of all
        layers together and with validation) and what :func:`measure` gives.
    """
    corpus = noise_corpus(folder / "repeated", min(REPEATED_CLIPS, sizes.paper_clips), sizes.clip_seconds)
    store = FrameStore.build(corpus, folder / "repeated-store", jobs=2)
    curve = []
    for n_clips in sizes.corpus_clips:
        # a larger corpus than the paper's gives a steadier time an epoch
        finetune_epochs = sizes.finetune_epochs if n_clips <= sizes.paper_clips else -(-sizes.finetune_epochs // 2)
        print(f"training on {n_clips:,} clips", file=sys.stderr, flush=True)
        run = in_fresh_process("experiments.bench.runs", store.path, n_clips, sizes.pretrain_epochs, finetune_epochs)
        seconds = {"pretrain_seconds": sum(np.median(_counted(layer)) for layer in run["pretrain"]),
                   "finetune_seconds": np.median(_counted(run["finetune"]))}
        curve.append({"clips": n_clips} | seconds | run)
    [paper] = [run for run in curve if run["clips"] == sizes.paper_clips]
    return [_paper_row(paper), *(_memory_row(run) for run in (paper, curve[-1])), _growth_row(paper, curve[-1])], curve


def in_fresh_process(module, *arguments):
    """What ``python -m module arguments`` prints as JSON, in a process that has imported nothing yet."""
    root = Path(experiments.__file__).parents[1]
    done = subprocess.run([sys.executable, "-m", module, *map(str, arguments)], cwd=root, check=True,
                          stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def _counted(seconds):
    """Of the epochs of one stage all but the first, which also loads and compiles, where there are others."""
    return seconds[1:] or seconds


def _paper_row(run):
    epochs = np.array(_counted(run["finetune"]))
    once = run["scaling"] + sum(layer[0] for layer in run["pretrain"]) + run["finetune"][0]
    pretraining = (PAPER_PRETRAIN_EPOCHS - 1) * run["pretrain_seconds"]
    minutes = (once + pretraining + (PAPER_FINETUNE_EPOCHS - 1) * epochs) / 60
    work = f"the paper's chosen model, 5 + 474 epochs over {run['n_frames']:,} frames, one core"
    note = (f"{once:.0f} s for the scaling and every stage's first epoch, with loading and compiling; the others "
            f"extrapolated from {len(epochs)} epochs of fine-tuning, median {run['finetune_seconds']:.2f} s with "
            f"validation, and from {run['pretrain_seconds']:.1f} s for an epoch of pre-training of all layers; the "
            "paper: 104 hours")
    return row(work, "", minutes, "min", 14.0, at_most=True, note=note)


def _memory_row(run):
    return row(f"memory for training on {run['n_frames']:,} frames", "", [run["peak_bytes"] / 1e9], "GB", 1.5,
               at_most=True, note="peak resident memory of the process; validation and pre-training included")


def _growth_row(paper, largest):
    a_frame = np.array(_counted(largest["finetune"])) / largest["n_frames"]
    return row(f"an epoch over {largest['n_frames']:,} frames, seconds a frame", f"{paper['n_frames']:,} frames",
               a_frame * paper["n_frames"] / paper["finetune_seconds"], "times as long",
               note="fine-tuning with validation; 1 means that cost grows in proportion to the data")


def measure(store_path, n_clips, pretrain_epochs, finetune_epochs):
    """One run of :func:`dbn.training.loops.train`, as :mod:`dbn.training.fit` makes it.

    Parameters
    ----------
    store_path : path
        A :class:`dbn.audio.frames.FrameStore`; its songs are repeated as often as need be.
    n_clips : int
        Half of them are training songs, a fifth validation songs (paper §4.1).
    pretrain_epochs, finetune_epochs : int

    Returns
    -------
    dict
        ``n_frames`` of the training songs; ``scaling``, the seconds of fitting it; ``pretrain``, a list for each layer
        of each epoch's seconds; ``finetune``, the same without layers; ``peak_bytes``.
    """
    store = FrameStore.open(store_path)
    names = cycle(song.name for song in store.songs)
    train_set, valid_set = (FrameSet.from_store(store, list(islice(names, max(1, n)))) for n in
                            (n_clips // 2, n_clips // 5))
    began = time.perf_counter()
    scaling = Scaling("minmax").fit(x for x, _ in train_set.blocks())
    scaling_seconds = time.perf_counter() - began
    settings = TrainingSettings(pretrain_epochs=pretrain_epochs, finetune_epochs=finetune_epochs)
    history = train(train_set.with_scaling(scaling), valid_set.with_scaling(scaling), len(store.classes),
                    settings).history
    layers = range(1, 1 + len(settings.hidden_layers_sizes))
    return {"n_frames": train_set.n_frames, "scaling": scaling_seconds,
            "pretrain": [[record["seconds"] for record in history if record.get("layer") == layer] for layer in layers],
            "finetune": [record["seconds"] for record in history if record["stage"] == "finetune"],
            "peak_bytes": peak_memory()}


def peak_memory():
    """Largest resident memory that this process has had, in bytes."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    # getrusage would count the process that started this one, which may have been larger
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    path, *numbers = sys.argv[1:]
    print(json.dumps(measure(path, *map(int, numbers))))
