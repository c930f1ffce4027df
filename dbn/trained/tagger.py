"""Tags for recordings (§5.2): a network and one SVM a tag in a single model file, evaluated by NumPy alone.

A tagger's file is a model file, see :mod:`dbn.trained.model`, with more arrays beside the network's; whatever takes a
model takes it too. The tags are in ``tag_meta``, a text in JSON. All SVMs share the windows that are a support vector
of any of them, and each names its own by their rows:

================  ==========================  ========================================================================
array             dtype and shape             content
================  ==========================  ========================================================================
tag_windows       float32 [n_windows, d]      mean and variance of all layers' activations over windows of training
                                              clips (§5.1.2)
tag_mean          float64 [n_tags, d]         what each tag's SVM takes off the features,
tag_scale         float64 [n_tags, d]         and divides them by
tag_support       int32 [n]                   rows of the support vectors, tag after tag
tag_coefficients  float64 [n]                 of the support vectors: positive for clips with the tag
================  ==========================  ========================================================================
"""
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dbn.audio.pooling import frame_rate
from dbn.errors import DBNError, ModelFileError
from dbn.features.aggregate import aggregate
from dbn.trained.archive import check_json, open_archive, read_array, read_json, write_arrays
from dbn.trained.model import Model, model_arrays, read_model

FORMAT = "hamel-eck-tags"
VERSION = 1
META = "tag_meta"

# Of what a file may hold, so that nothing overflows in float64 and no window outgrows memory.
LARGEST, SMALLEST_SCALE = 1e40, 1e-100
LONGEST_WINDOW, MOST_OPEN_WINDOWS = 3600.0, 100


class TagSVM(NamedTuple):
    """A balanced RBF-SVM of one tag, trained on standardised windows.

    Attributes
    ----------
    C, gamma : float
        Penalty, and γ of the kernel exp(-γ ‖x - s‖²).
    mean, scale : float64 [d]
        What features are standardised with.
    support : int [n]
        Rows of the support vectors among the windows.
    coefficients : float64 [n]
        Of the support vectors, positive for those with the tag.
    intercept : float
    """

    C: float
    gamma: float
    mean: np.ndarray
    scale: np.ndarray
    support: np.ndarray
    coefficients: np.ndarray
    intercept: float

    def standardise(self, x):
        """Features float [m, d] as the kernel sees them; float64 [m, d]."""
        return (x - self.mean) / self.scale


@dataclass(frozen=True)
class TagMeasure:
    """How well a tag was recognised in clips that its SVM had not seen: what Table 4 measures by cross-validation.

    Attributes
    ----------
    accuracy : float
        Share of the test clips that were labelled correctly; as many have the tag as not, so that chance is 0.5.
    n_test : int
        Number of test clips.
    """

    accuracy: float
    n_test: int


@dataclass(frozen=True)
class Tagger:
    """A network and its tags' SVMs.

    Attributes
    ----------
    model : dbn.trained.model.Model or dbn.trained.convolutional.ConvolutionalModel
        The network.
    windows : float32 [n_windows, d]
        Features of the windows that are support vectors; d is twice the number of hidden units.
    names : tuple of str, [n_tags]
    svms : tuple of TagSVM, [n_tags]
    measures : tuple of TagMeasure, [n_tags]
    window_seconds, window_hop : float
        Length of a window, and from one window's start to the next, in seconds.
    about : dict
        Clips, folds, seed: whatever can be written as JSON.
    """

    model: Model
    windows: np.ndarray
    names: tuple
    svms: tuple
    measures: tuple
    window_seconds: float
    window_hop: float
    about: dict = field(default_factory=dict)

    @property
    def frame_rate(self):
        """Frames a second."""
        return frame_rate(self.model.frame_settings)

    @property
    def synthetic(self):
        """What of it was learnt from synthetic clips: a list of "network" and "tags"."""
        parts = {"network": self.model.about, "tags": self.about}
        return [part for part, about in parts.items() if about.get("synthetic")]

    def frame_features(self, frames):
        """All layers side by side: float32 [n_frames, d / 2] of unscaled DFT magnitudes float32 [n_frames, n_ins]."""
        return np.hstack(self.model.activations(frames))

    def feature_blocks(self, parts):
        """:meth:`frame_features` of a song whose frames come in parts: an iterator of arrays."""
        return map(np.hstack, self.model.activation_blocks(parts))

    def decision_values(self, x):
        """Decision value of every tag for windows' features.

        Parameters
        ----------
        x : float array [m, d]
            Means, then variances of :meth:`frame_features` over each window.

        Returns
        -------
        float64 [m, n_tags]
            Positive where the tag holds, as ``SVC.decision_function``.

        Raises
        ------
        DBNError
            Features of another width.
        """
        x, d = np.asarray(x), self.windows.shape[1]
        if x.ndim != 2 or x.shape[1] != d:
            raise DBNError(f"the tagger takes windows of {d} features, [m, {d}], not shape {x.shape}")
        values = np.empty((len(x), len(self.svms)))
        for column, svm, (support, squares) in zip(values.T, self.svms, self._supports):
            z = svm.standardise(x)
            distances = np.square(z).sum(axis=1)[:, None] + squares - 2 * z @ support.T
            # rounding may leave a distance of 0 a little below it; gamma times a huge one may overflow
            with np.errstate(over="ignore"):
                column[:] = np.exp(-svm.gamma * np.maximum(distances, 0)) @ svm.coefficients + svm.intercept
        return values

    def scores(self, frames):
        """Decision value of every tag for a whole recording: the mean over its windows (§5.2).

        Parameters
        ----------
        frames : float32 [n_frames, n_ins]
            DFT magnitudes as they come from :func:`dbn.audio.dft_magnitudes`, not scaled.

        Returns
        -------
        float64 [n_tags]
            Positive for the tags that hold.
        """
        windows = aggregate(self.frame_features(frames), self.frame_rate, self.window_seconds, self.window_hop)
        return self.decision_values(windows).mean(axis=0)

    @cached_property
    def _supports(self):
        """Each tag's standardised support vectors [n, d] and their squared lengths [n]."""
        supports = [svm.standardise(self.windows[svm.support]) for svm in self.svms]
        return [(support, np.square(support).sum(axis=1)) for support in supports]


def shared_windows(windows, svms):
    """Keep, of all training clips' windows, those that are a support vector.

    Parameters
    ----------
    windows : float32 [n_all, d]
    svms : sequence of TagSVM
        Whose ``support`` are rows of `windows`.

    Returns
    -------
    windows : float32 [n_windows, d]
    svms : tuple of TagSVM
        The same with rows of those.
    """
    used, rows = np.unique(np.concatenate([svm.support for svm in svms]), return_inverse=True)
    parts = np.split(rows.astype(np.int32), np.cumsum([len(svm.support) for svm in svms])[:-1])
    return windows[used], tuple(svm._replace(support=part) for svm, part in zip(svms, parts))


def save_tagger(path, tagger):
    """Write a :class:`Tagger` beside its place and rename it into it; the same tagger gives the same bytes.

    Raises
    ------
    ModelFileError
        The name does not end in ``.npz``, or the file cannot be written.
    """
    tags = [{"name": name, "C": svm.C, "gamma": svm.gamma, "intercept": svm.intercept,
             "n_support": len(svm.support)} | asdict(measure)
            for name, svm, measure in zip(tagger.names, tagger.svms, tagger.measures)]
    meta = {"format": FORMAT, "version": VERSION, "tags": tags, "window_seconds": tagger.window_seconds,
            "window_hop": tagger.window_hop, "about": tagger.about}
    write_arrays(path, model_arrays(tagger.model) | {
        META: np.array(json.dumps(meta, sort_keys=True)), "tag_windows": tagger.windows,
        "tag_mean": np.array([svm.mean for svm in tagger.svms]),
        "tag_scale": np.array([svm.scale for svm in tagger.svms]),
        "tag_support": np.concatenate([svm.support for svm in tagger.svms]),
        "tag_coefficients": np.concatenate([svm.coefficients for svm in tagger.svms])})


def has_tags(path):
    """Whether a model file holds a tagger; what it holds is not looked at.

    Raises
    ------
    ModelFileError
        A file that cannot be read.
    """
    with open_archive(path) as archive:
        return f"{META}.npy" in archive.namelist()


def load_tagger(path):
    """Read a :class:`Tagger`; nothing in the file can run code or take more memory than a model may.

    Raises
    ------
    ModelFileError
        A missing, truncated, foreign or newer file, a network without tags, or arrays that do not fit together.
    """
    with open_archive(path) as archive:
        model = read_model(archive, path)
        if f"{META}.npy" not in archive.namelist():
            raise ModelFileError(f"{path}: holds a network and no tags; dbn train-tags makes a file with "
                                 "tags, and Table 4 leaves one (make table4)")
        kinds = {"tags": list, "window_seconds": (int, float), "window_hop": (int, float), "about": dict}
        meta = read_json(archive, META, path)
        check_json(meta, path, FORMAT, VERSION, kinds)
        tags, windows = meta["tags"], read_array(archive, "tag_windows", 2)
        support = read_array(archive, "tag_support", 1, kinds="i")
        means, scales = (read_array(archive, f"tag_{name}", 2, float_type=np.float64) for name in ("mean", "scale"))
        coefficients = read_array(archive, "tag_coefficients", 1, float_type=np.float64)
    _check_meta(meta, path)
    _check_arrays(model, tags, windows, means, scales, support, coefficients, path)
    edges = np.cumsum([tag["n_support"] for tag in tags])[:-1]
    svms = tuple(TagSVM(tag["C"], tag["gamma"], *parts, tag["intercept"])
                 for tag, *parts in zip(tags, means, scales, np.split(support, edges), np.split(coefficients, edges)))
    return Tagger(model, windows, tuple(tag["name"] for tag in tags), svms,
                  tuple(TagMeasure(tag["accuracy"], tag["n_test"]) for tag in tags),
                  meta["window_seconds"], meta["window_hop"], meta["about"])


def _check_meta(meta, path):
    """Refuse tags and windows that no training leaves."""
    tags, numbers, counts = meta["tags"], ("C", "gamma", "intercept", "accuracy"), ("n_support", "n_test")
    good = (all(isinstance(tag, dict) and isinstance(tag.get("name"), str)
                and all(isinstance(tag.get(name), (int, float)) and abs(tag[name]) <= LARGEST for name in numbers)
                and all(isinstance(tag.get(name), int) and 0 <= tag[name] <= LARGEST for name in counts)
                and tag["gamma"] > 0 and 0 <= tag["accuracy"] <= 1 for tag in tags)
            and 0 < len({tag["name"] for tag in tags}) == len(tags))
    if not good:
        raise ModelFileError(f"{path}: damaged: its tags have no names, the same one twice, or numbers out of range")
    seconds, hop = meta["window_seconds"], meta["window_hop"]
    if not (0 < seconds <= LONGEST_WINDOW and seconds / MOST_OPEN_WINDOWS <= hop <= LONGEST_WINDOW):
        raise ModelFileError(f"{path}: damaged: windows of {seconds} s, one every {hop} s, are not what tags come from")


def _check_arrays(model, tags, windows, means, scales, support, coefficients, path):
    """Refuse arrays that do not fit the network, the tags or each other."""
    d = 2 * sum(len(bias) for bias in model.biases[:-1])
    fits = (windows.shape[1] == d and means.shape == scales.shape == (len(tags), d)
            and support.shape == coefficients.shape == (sum(tag["n_support"] for tag in tags),)
            and ((support >= 0) & (support < len(windows))).all())
    if not fits:
        raise ModelFileError(f"{path}: damaged: the sizes of its tags' arrays do not fit each other or the network")
    if scales.min() < SMALLEST_SCALE or max(np.abs(array).max(initial=0) for array in (means, scales, coefficients)
                                            ) > LARGEST:
        raise ModelFileError(f"{path}: damaged: its tags' arrays hold numbers that no training leaves")
