"""The scaled frames that all points of a rung share: one file for each kind of scaling, mapped into memory.

The processes of a search read the same file, so that the system holds its pages once for all of them.
"""
import shutil

import numpy as np

from dbn.audio.frames import FrameSet
from dbn.audio.scaling import Scaling
from dbn.system.files import atomic_folder, disk_errors, open_rows, write_rows

# the second number of the seed of this draw; see experiments.search.space
SUBSET = 4

PARTS = ("train", "valid")


def chosen_frames(run, n_frames):
    """Which frames of each part a rung uses: drawn once, the same for all points, among them those of smaller rungs.

    Parameters
    ----------
    run : experiments.steps.pipeline.Run
        Its split and seed.
    n_frames : dict of str to int
        How many of "train" and of "valid".

    Returns
    -------
    dict of str to int array
        Frame numbers within each part, ascending.
    """
    rng = np.random.default_rng([run.seed, SUBSET])
    order = {part: rng.permutation(run.songs(part).n_frames) for part in PARTS}
    return {part: np.sort(order[part][:n_frames[part]]) for part in PARTS}


def make_inputs(folder, run, kinds, chosen):
    """Write the scaled frames of each kind that is not there yet.

    A scaling is fitted to all training frames, as for Table 1, and not only to the chosen ones.

    Parameters
    ----------
    folder : pathlib.Path
        Gets one folder a kind. One process at a time may write there.
    run : experiments.steps.pipeline.Run
        Its training and validation songs; test songs are not read.
    kinds : iterable of str
        Of :data:`dbn.audio.scaling.KINDS`.
    chosen : dict of str to int array
        See :func:`chosen_frames`.

    Raises
    ------
    DBNError
        No room on the disk.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for kind in kinds:
            if not _is_whole(folder, kind, chosen):
                shutil.rmtree(folder / kind, ignore_errors=True)
                scaling = Scaling(kind).fit(x for x, _ in run.songs("train").blocks())
                with atomic_folder(folder / kind) as partial:
                    for part in PARTS:
                        frames = run.songs(part, scaling)
                        write_rows(partial / f"{part}.npy", len(chosen[part]), frames.n_features,
                                   _rows(frames, chosen[part]))
                        np.save(partial / f"{part}-labels.npy", frames.labels[chosen[part]])


def _is_whole(folder, kind, chosen):
    """Whether the inputs of a kind are there, and can be read."""
    try:
        return all(frames.n_frames == len(chosen[part]) for part, frames in zip(PARTS, open_inputs(folder, kind)))
    except Exception:  # of damaged bytes: the readers of headers raise a dozen kinds
        return False


def _rows(frames, chosen):
    """The chosen frames of a set, in blocks."""
    start = 0
    for x, _ in frames.blocks():
        inside = chosen[np.searchsorted(chosen, start):np.searchsorted(chosen, start + len(x))]
        yield x[inside - start]
        start += len(x)


def open_inputs(folder, kind):
    """Training and validation set of one kind of scaling, as :func:`make_inputs` has written them."""
    def of(part):
        return FrameSet.from_arrays(open_rows(folder / kind / f"{part}.npy"),
                                    np.load(folder / kind / f"{part}-labels.npy"))

    return [of(part) for part in PARTS]


def remove_inputs(folder):
    """Give back the room on the disk."""
    shutil.rmtree(folder, ignore_errors=True)
