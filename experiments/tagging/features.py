"""Features of the tagged clips (§5.2): the network's, its rival's, and three of our own beside them."""
import hashlib
import json
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from dbn.audio import dft_magnitudes, frame_rate, load_audio, pool
from dbn.datasets.majorminer import TagCorpus
from dbn.errors import AudioError, DamagedError, DBNError
from dbn.features.aggregate import aggregate
from dbn.features.mim import MIMSettings, temporal_features, timbral_features
from dbn.system.files import atomic_path
from dbn.system.progress import progress_bar
from dbn.system.stored import PARTS, kept, parsed
from dbn.system.versions import versions
from dbn.system.workers import in_parallel
from experiments.steps.features import mfcc_features, mfcc_settings
from experiments.steps.provenance import network_parts

# The rows of Table 4: the paper's two, and what its MIM features owe to which half, and windows of plain MFCCs.
DBN, MIM, TIMBRAL, TEMPORAL, MFCCS = ROWS = ("DBN", "MIM", "MIM, timbral half", "MIM, temporal half", "MFCCs")

FEATURES = "features of the clips"  # what they are called among the parts of a result


@dataclass(frozen=True)
class Clips:
    """The clips that can be used, and their features.

    Attributes
    ----------
    corpus : dbn.datasets.majorminer.TagCorpus
        All clips and tags.
    used : int array [n]
        Numbers of the clips whose audio could be used.
    features : dict of str to list of float32 [n_windows, d]
        For each of `ROWS`, the windows of every used clip; of the MIM features and their halves, one a clip.
    skipped : list of (str, str)
        ``(file, why)`` of audio that could not be used.
    key : str
        Stands for the clips, the network and all settings of the features.
    parts : list of (str, dict)
        What the features are made of, see :mod:`experiments.steps.provenance`.
    """

    corpus: TagCorpus
    used: np.ndarray
    features: dict
    skipped: list
    key: str
    parts: list


def clip_features(corpus, model, profile, folder, jobs=1):
    """The features of all clips that have audio, made once and kept in `folder`.

    Parameters
    ----------
    corpus : dbn.datasets.majorminer.TagCorpus
        Clips and tags.
    model : dbn.trained.model.Model
        The network.
    profile : experiments.profiles.Profile
        With the frames' settings of the network.
    folder : pathlib.Path
        Where they are kept.
    jobs : int
        Number of processes.

    Returns
    -------
    Clips

    Raises
    ------
    DBNError
        No clip has audio that can be used.
    """
    there = [number for number, clip in enumerate(corpus.clips) if clip.path]
    if not there:
        raise DBNError(f"none of the {len(corpus.clips)} clips has audio: put it into the folder audio/ beside "
                       "clips.tsv, each file named by its clip's id; see data/README.md")
    files = [corpus.clips[number].path for number in there]
    key = _key(files, model, profile)
    path = folder / f"features-{key}.npz"
    stored = kept(path, read_features, len(files))
    if stored is None:
        _write(path, _of_all(files, model, profile, jobs), [*network_parts(model, "network"), (FEATURES, versions())])
        stored = read_features(path, len(files))
    features, reasons, parts = stored
    parts = parts or [*network_parts(model, "network"), (FEATURES, {})]
    skipped = [(str(file), why) for file, why in zip(files, reasons) if why]
    if not features:
        raise DBNError(f"none of the {len(files)} audio files can be used; the first: {': '.join(skipped[0])}")
    used = np.array([number for number, why in zip(there, reasons) if not why])
    return Clips(corpus, used, features, skipped, key, parts)


def features_of(file, model, profile):
    """The feature sets of one clip.

    Parameters
    ----------
    file : path
        Audio.
    model : dbn.trained.model.Model
        The network, whose activations of all layers side by side are aggregated over windows, as in Table 3.
    profile : experiments.profiles.Profile
        With the frames' settings of the network.

    Returns
    -------
    dict of str to float32 [n_windows, d]
        For each of `ROWS`.

    Raises
    ------
    AudioError
        A file that cannot be used.
    """
    signal = load_audio(file, profile.sample_rate, profile.frame_length)
    frames = pool(dft_magnitudes(signal, profile.frame_length, profile.hop_length, profile.window), profile.pooling)

    def windows(x):
        return aggregate(x, frame_rate(model.frame_settings), profile.window_seconds, profile.window_hop)

    settings = mim_settings(profile)
    timbral, temporal = (half(signal, profile.sample_rate, settings)[None]
                         for half in (timbral_features, temporal_features))
    return {DBN: windows(np.hstack(model.activations(frames))), MIM: np.hstack([timbral, temporal]),
            TIMBRAL: timbral, TEMPORAL: temporal, MFCCS: windows(mfcc_features(signal, mfcc_settings(profile)))}


def mim_settings(profile):
    """The :class:`dbn.features.mim.MIMSettings` of a profile."""
    return MIMSettings(profile.frame_length, profile.hop_length, n_mels=profile.mim_mels, n_mfcc=profile.mim_mfcc,
                       n_bands=profile.mim_bands, max_modulation=profile.mim_max_modulation,
                       n_coefficients=profile.mim_coefficients, log_modulation=profile.mim_log_modulation)


def parts_of(name, profile):
    """The parts of a row's features that its SVMs bring to one length, or None; see `RBFSVM`."""
    if not profile.mim_unit_norm:
        return None
    settings = mim_settings(profile)
    timbral = settings.n_mfcc * (settings.n_mfcc + 3) // 2
    temporal = settings.n_bands * settings.n_coefficients
    return {MIM: (timbral, temporal), TIMBRAL: (timbral,), TEMPORAL: (temporal,)}.get(name)


def _of_all(files, model, profile, jobs):
    """For every file what :func:`features_of` gives, or the reason why there is nothing."""
    of_file = partial(_features_or_reason, model=model, profile=profile)
    results = in_parallel(of_file, ((file,) for file in files), jobs)
    return list(progress_bar("features of the clips", results, total=len(files), unit=" clips"))


def _features_or_reason(file, model, profile):
    try:
        return features_of(file, model, profile)
    except AudioError as error:
        return error.reason


def _key(files, model, profile):
    """A name for all that the features depend on."""
    stats = [file.stat() for file in files]
    settings = [[(file.name, stat.st_size, stat.st_mtime_ns) for file, stat in zip(files, stats)],
                model.scaling.kind, mfcc_settings(profile), asdict(mim_settings(profile)), profile.window,
                profile.window_seconds, profile.window_hop]
    key = hashlib.sha256(json.dumps(settings).encode())
    scaling = model.scaling.to_arrays()
    for array in (*model.weights, *model.biases, scaling["offset"], scaling["gain"]):
        key.update(array.tobytes())
    return key.hexdigest()[:16]


def _write(path, of_files, parts):
    """Keep the features one after another, their numbers of windows, the reasons ("" where there are features), and
    the parts, as JSON."""
    good = [features for features in of_files if isinstance(features, dict)]
    arrays = {"reasons": np.array(["" if isinstance(features, dict) else features for features in of_files]),
              "parts": np.array(json.dumps(parts))}
    for name in ROWS if good else ():
        arrays[name] = np.concatenate([features[name] for features in good])
        arrays[f"{name}, windows"] = np.array([len(features[name]) for features in good])
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)


def read_features(path, n_files):
    """What :func:`_write` kept: dict of lists of features, list of reasons, and the parts, None if it kept none."""
    try:
        with np.load(path) as arrays:
            reasons = arrays["reasons"].tolist()
            n_good = sum(isinstance(why, str) and not why for why in reasons)
            features = {name: _of_clips(arrays[name], arrays[f"{name}, windows"], n_good)
                        for name in (ROWS if n_good else ())}
            parts = parsed(arrays["parts"].item(), PARTS) if "parts" in arrays else None
            if len(reasons) != n_files:
                raise ValueError(f"{len(reasons)} files instead of {n_files}")
    except FileNotFoundError:
        raise
    except Exception as error:  # of damaged bytes: the readers of archives and headers raise a dozen kinds
        raise DamagedError(f"{path}: is damaged ({error})") from error
    return features, reasons, parts


def _of_clips(windows, numbers, n_clips):
    """The windows of every clip; ValueError if they are not so many."""
    if windows.dtype != np.float32 or windows.ndim != 2 or not np.isfinite(windows).all():
        raise ValueError(f"windows of {windows.dtype}, of shape {windows.shape}")
    if numbers.shape != (n_clips,) or numbers.min() < 1 or numbers.sum() != len(windows):
        raise ValueError(f"{len(windows)} windows do not belong to {n_clips} clips")
    return np.split(windows, np.cumsum(numbers)[:-1])
