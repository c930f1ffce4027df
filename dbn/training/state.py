"""The state of a training run on disk: what a killed run goes on from."""
import hashlib
import io
import json
import re
import time
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from dbn.errors import TrainingError
from dbn.system.files import UNFINISHED, atomic_path, disk_errors, sole_writer, temporary_folder
from dbn.system.interrupts import done_at_end
from dbn.system.stored import COUNT, SECONDS, SHARE, VERSIONS, Among, Perhaps, Within, parsed
from dbn.system.versions import joined, versions

FORMAT = 4
SECONDS_BETWEEN_SAVES = 5.0
SAMPLED_FRAMES = 4096  # of a set, for the fingerprint: to read all of 645,000 would take seconds

ADVICE = "delete the file to train from the beginning"

_EPOCH = {"stage": Among(("pretrain", "finetune")), "epoch": Within(int, 1), "cost": float, "seconds": SECONDS,
          "layer": Perhaps(int), "valid_error": Perhaps(SHARE), "free_energy_gap": Perhaps(float)}
_STATE = {"stage": COUNT, "epoch": COUNT, "n_arrays": COUNT, "history": [_EPOCH], "versions": Perhaps(VERSIONS),
          "numbers": {"best_error": Perhaps(SHARE), "best_epoch": Perhaps(COUNT),
                      "stopped": Perhaps(Among(("patience", "epochs")))}}

# what lies in a run's folder only while it runs, and what a killed one was about to write; no file of the user's own
_ROWS = r"((training|validation|pretraining)-inputs|hidden-means-\d{1,2})"
_WORK_FILE = re.compile(
    rf"{_ROWS}\.npy|\.({_ROWS}{UNFINISHED}\.npy|checkpoint{UNFINISHED}\.npz|history{UNFINISHED}\.jsonl)")


@contextmanager
def run_folder(directory):
    """A run's folder, made if need be, for this process alone; runs leave nothing there but what they go on from.

    Another process that is in it is waited for. The files of a run that was killed are removed before, those of this
    run after, however it ends. Files of other names stay.

    Parameters
    ----------
    directory : path or None
        None stands for a folder that is gone afterwards.

    Yields
    ------
    folder : pathlib.Path
    """
    if directory is None:
        with temporary_folder() as folder:
            yield folder
        return
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    with sole_writer(folder):
        _remove_work_files(folder)
        with done_at_end(partial(_remove_work_files, folder)):
            yield folder


def _remove_work_files(folder):
    for path in list(folder.iterdir()):
        if _WORK_FILE.fullmatch(path.name):
            path.unlink(missing_ok=True)


def fingerprint(settings, sets, n_outs, data_key):
    """Names a run: its settings, and the data by all labels and evenly spaced frames of each set; str.

    Parameters
    ----------
    settings : dbn.training.settings.TrainingSettings
    sets : list of dbn.audio.frames.FrameSet
        For training, validation and, where it is another one, pre-training.
    n_outs : int
        Number of classes.
    data_key : str
        What else the caller knows of the data.
    """
    digest = hashlib.sha256(json.dumps([asdict(settings), n_outs, data_key]).encode())
    for frames in sets:
        n_sampled = min(frames.n_frames, SAMPLED_FRAMES)
        digest.update(f"{frames.n_frames} {frames.n_features} ".encode())
        digest.update(b"" if frames.labels is None else frames.labels.tobytes())
        digest.update(frames.read(np.arange(n_sampled) * frames.n_frames // n_sampled).tobytes())
    return digest.hexdigest()


def alike(values, others):
    """Whether two lists of arrays have the same shapes and dtypes."""
    return [(value.shape, value.dtype) for value in values] == [(value.shape, value.dtype) for value in others]


class RunState:
    """Where a run stands after its last whole epoch.

    Randomness needs no room here: every epoch draws from a generator of its
    own, seeded by the run's seed and the epoch's number. A run that starts
    from a checkpoint therefore repeats the bits of the one that was killed.

    Parameters
    ----------
    directory : path or None
        Folder of ``checkpoint.npz`` and ``history.jsonl``, made if need be; None keeps the state in memory only.
    fingerprint : str
        Names the settings and the data. A checkpoint of another fingerprint is refused.

    Attributes
    ----------
    stage : int
        The layer that is being pre-trained, or their number while fine-tuning, or that plus one when all is done.
    epoch : int
        Epochs of this stage that are finished.
    values, best_values : list of arrays
        Parameters after the last epoch, and those with the best validation error so far.
    carried : list of arrays
        What the next epoch of this stage goes on from beside `values`: PCD's chains, momentum's velocities, see
        :func:`dbn.training.epochs.carried_state`; empty before the first.
    numbers : dict
        What else the loops need to know: best error and its epoch, why training stopped.
    history : list of dict
        One record an epoch, its ``seconds`` being the time since the one before, over all starts of the run.
    versions : dict
        Of all processes that had a hand in the run, see :func:`dbn.system.versions.joined`.

    Raises
    ------
    TrainingError
        A checkpoint that cannot be read, or that belongs to other settings or data.
    """

    def __init__(self, directory, fingerprint):
        self.directory = None if directory is None else Path(directory)
        self.fingerprint = fingerprint
        self.stage, self.epoch = 0, 0
        self.values, self.best_values, self.carried = [], [], []
        self.numbers, self.history = {}, []
        self.versions = versions()
        self._last_save = self._last_epoch = time.monotonic()
        if self.directory is not None:
            self.directory.mkdir(parents=True, exist_ok=True)
            if self.path.exists():
                self._load()

    @property
    def path(self):
        """The checkpoint's file."""
        return self.directory / "checkpoint.npz"

    def finish_epoch(self, values, **record):
        """Note the end of an epoch with its parameters and its record for the history; now and then, save."""
        now = time.monotonic()
        self.history.append(record | {"seconds": now - self._last_epoch})
        self._last_epoch = now
        self.epoch += 1
        self.values = values
        if time.monotonic() - self._last_save > SECONDS_BETWEEN_SAVES:
            self.save()

    def next_stage(self):
        """Go on to the next layer, or to fine-tuning, and save."""
        self.stage += 1
        self.epoch, self.carried = 0, []
        self.save()

    def save(self):
        """Write the state beside its place and rename it into it."""
        self._last_save = time.monotonic()
        if self.directory is None:
            return
        arrays = {f"{name}_{i}": value for name, values in self._lists() for i, value in enumerate(values)}
        state = {"format": FORMAT, "fingerprint": self.fingerprint, "stage": self.stage, "epoch": self.epoch,
                 "numbers": self.numbers, "history": self.history, "versions": self.versions,
                 "n_arrays": len(arrays)}
        # the history first: after a kill between the two, the run that goes on writes it again
        history = self.directory / "history.jsonl"
        with disk_errors(history), atomic_path(history) as path:
            path.write_text("".join(json.dumps(record) + "\n" for record in self.history))
        archive = io.BytesIO()  # as NumPy before 2.2 complains about a full disk once more, where nobody can catch it
        np.savez(archive, state=np.array(json.dumps(state)), **arrays)
        with disk_errors(self.path), atomic_path(self.path) as path:
            path.write_bytes(archive.getbuffer())

    def require_fit(self, parameters, settings):
        """Raise TrainingError if what was read is no state of such a run.

        Parameters
        ----------
        parameters : list of arrays
            Of the network, which a state's have the shapes and dtypes of.
        settings : dbn.training.settings.TrainingSettings
        """
        stages = [record["stage"] for record in self.history]
        n_layers, n_tuned = len(settings.hidden_layers_sizes), stages.count("finetune")
        if self.stage < n_layers:
            n_pretrained, most = self.stage * settings.pretrain_epochs + self.epoch, settings.pretrain_epochs
        else:
            n_pretrained, most = n_layers * settings.pretrain_epochs, settings.finetune_epochs
        is_in_time = (self.stage <= n_layers + 1 and self.epoch <= most and len(stages) == n_pretrained + n_tuned
                      and (self.stage > n_layers or n_tuned == (self.epoch if self.stage == n_layers else 0)))
        has_best = ({"best_error", "best_epoch", "stopped"} <= self.numbers.keys()
                    and self.numbers["best_epoch"] <= n_tuned and alike(self.best_values, parameters))
        needs_best = n_tuned > 0 or self.stage > n_layers
        if not (is_in_time and alike(self.values, parameters) and (has_best or not needs_best)):
            raise TrainingError(f"{self.path}: not a checkpoint of this run: its epochs or its arrays do not fit; "
                                f"{ADVICE}")

    def _lists(self):
        return (("value", self.values), ("best", self.best_values), ("carried", self.carried))

    def _load(self):
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                text = stored["state"].item()
                arrays = {name: stored[name] for name in stored.files if name != "state"}
            about = parsed(text, {"format": int, "fingerprint": str})
            known, fingerprint = about["format"] == FORMAT, about["fingerprint"]
            state = parsed(text, _STATE) if known else {}
            if known and len(arrays) != state["n_arrays"]:
                raise ValueError("arrays are missing")
        except Exception as error:  # of damaged bytes: the readers of archives and headers raise a dozen kinds
            raise TrainingError(f"{self.path}: not a readable checkpoint ({error}); {ADVICE}") from error
        if not known:
            raise TrainingError(f"{self.path}: written by another version of this program; {ADVICE}")
        if fingerprint != self.fingerprint:
            raise TrainingError(f"{self.path}: belongs to a run with other settings or other data; "
                                f"choose another folder, or {ADVICE}")
        self.stage, self.epoch, self.numbers, self.history = (
            state[name] for name in ("stage", "epoch", "numbers", "history"))
        self.versions = joined(state.get("versions", {}), self.versions)
        for name, values in self._lists():
            values.extend(arrays[f"{name}_{i}"] for i in range(len(arrays)) if f"{name}_{i}" in arrays)
