"""Every number that the experiments use. Edit a value, run a script: the result says which values it used.

`smoke` shows that the commands work, `demo` that the system does, `paper` is the paper's own size and settings. What
the paper leaves open is marked so; our choice stands beside it.
"""
from dataclasses import asdict, dataclass, field, replace
from itertools import product

import numpy as np

from dbn.audio.spectra import HIGHEST_RATE, LONGEST_FRAME, LONGEST_HOP
from dbn.training.recipes import CONVOLUTIONAL, RECIPES
from dbn.training.settings import TrainingSettings


class Choice:
    """One of several values, each as likely as the others."""

    def __init__(self, *values):
        self.values = values

    def draw(self, rng):
        """One value."""
        return self.values[int(rng.integers(len(self.values)))]

    def as_json(self):
        """For the plan of a search and its report: ``{"choice": [...]}``."""
        return {"choice": [list(value) if isinstance(value, tuple) else value for value in self.values]}


class LogUniform:
    """A number between two others, its logarithm uniformly distributed."""

    def __init__(self, lowest, highest):
        self.lowest, self.highest = lowest, highest

    def draw(self, rng):
        """One value."""
        value = np.exp(rng.uniform(np.log(self.lowest), np.log(self.highest)))
        return float(np.clip(value, self.lowest, self.highest))

    def as_json(self):
        """For the plan of a search and its report: ``{"log_uniform": [lowest, highest]}``."""
        return {"log_uniform": [self.lowest, self.highest]}


# What the search draws from (the authors tried about 200 combinations by hand; they do not say which). One line a
# hyper-parameter, any field of TrainingSettings may be added; see experiments/search/space.py.
SPACE = {
    "layers": Choice(1, 2, 3, 4),
    "units": Choice(25, 50, 100, 200, 500),             # of each layer
    "pretrain_lr": LogUniform(1e-4, 1e-1),
    "finetune_lr": LogUniform(1e-3, 1.0),
    "pretrain_epochs": Choice(0, 1, 2, 5, 10),
    "batch_size": Choice(10, 20, 50, 100, 200),
    "inputs": Choice(("minmax", "bernoulli"), ("max", "bernoulli"), ("log", "bernoulli"), ("standardize", "gaussian")),
    "output": Choice("softmax", "sigmoid"),
}

# What Tables 2 and 3 try as MFCCs, on the validation songs, where the network's settings won a search on them.
MFCC_SEARCH = tuple({"n_mels": n_mels, "n_mfcc": n_mfcc, "mfcc_deltas": with_deltas}
                    for n_mels, n_mfcc, with_deltas in product((40, 80), (13, 20, 30), (False, True)))


@dataclass(frozen=True)
class Profile:
    """One size of all experiments."""

    # --- the embedded corpus (the paper's is GTZAN: 100 clips a genre of 30 s) ---
    clips_per_genre: int = 100
    clip_seconds: float = 30.0
    corpus_seed: int = 0

    # --- from audio to inputs (§4.1) ---
    sample_rate: int = 22050
    frame_length: int = 1024      # 46.44 ms
    hop_length: int = 512         # "overlapping over half a frame" (§5.3)
    window: str | None = None     # not stated; None is rectangular
    pooling: str | None = None    # frames put together before the network sees them (§5.3), see dbn/audio/pooling.py
    scaling: str = "minmax"       # not stated; a binary-unit RBM needs [0, 1]

    # --- the split (§4.1): 50 / 20 / 30 % of the songs; not stated whether by class ---
    split: str = "class"

    # --- what the network learns from: less than all of it, as §5.3 and §6 ask; see experiments/questions/ ---
    train_songs: float = 1.0      # share of each class's training songs that have labels
    train_share: float = 1.0      # share of all training frames, drawn at random from these songs
    # what pre-training and scaling see: "labelled" songs, "all" training songs, or these and those of a folder, by name
    pretrain_songs: str = "labelled"

    # --- the rival features, MFCCs (§5.1 gives no details): the frames of the DFT under a Hann window ---
    mfcc_window: str = "hann"
    n_mels: int = 40
    f_min: float = 0.0            # Hz
    f_max: float = 11025.0        # Hz
    n_mfcc: int = 20              # with the zeroth
    mfcc_deltas: bool = False     # their slopes over time beside them

    # --- aggregation over windows (§5.1.2) ---
    window_seconds: float = 5.0
    window_hop: float = 2.5
    # of Table 3 and the questions alone, see dbn/features/aggregate.py; the paper's are these
    window_statistics: tuple[str, ...] = ("mean", "variance")
    window_scales: tuple[float, ...] = ()   # seconds of further windows beside each, around the same centre

    # --- the SVMs of Tables 2 and 3 (§5.1): C and gamma are not stated, they are chosen on the validation songs ---
    svm_frames: int = 10_000      # training frames of Table 2
    svm_windows: int = 10_000     # the most training windows of Table 3 and the questions; the paper's songs have 5,500
    valid_stride: int = 10        # of a validation song every 10th frame votes, in the choice of C and gamma alone
    frame_C: tuple = (1.0, 10.0)
    frame_gamma: tuple = (0.1, 0.3, 1.0, 3.0)    # over the number of features
    window_C: tuple = (1.0, 10.0, 100.0)
    window_gamma: tuple = (0.03, 0.1, 0.3, 1.0)  # over the number of features

    # --- autotagging (§5.2): the paper's clips are MajorMiner's; of the SVMs it says "the same method as in [16]" ---
    n_tagged_clips: int = 2359           # of the embedded corpus; as many as MajorMiner's list has
    tagged_seconds: float = 10.0
    min_players: int = 2                 # a tag holds for a clip from so many players on
    n_tags: int = 25                     # the most popular ones
    tag_folds: int = 3                   # by artist; not stated
    min_tagged_clips: int = 10           # a tag that fewer clips have is left out, and named
    mim_mels: int = 40                   # of the rival features, MIM: see dbn/features/mim.py, as the next five
    mim_mfcc: int = 18
    mim_bands: int = 4
    mim_max_modulation: float = 10.0     # Hz
    mim_coefficients: int = 50
    mim_log_modulation: bool = False
    mim_unit_norm: bool = False          # each half of MIM to one length, after it is standardised
    tag_C: tuple = (1.0, 10.0)           # not stated; of several, chosen within each SVM's training clips
    tag_gamma: tuple = (0.1, 0.3, 1.0)   # over the number of features; likewise

    # --- Figure 2 (§4.1 names t-SNE and nothing else) ---
    figure2_frames: int = 2000            # of all test songs together, as many of each song
    figure2_perplexity: float = 30.0      # about how many neighbours t-SNE keeps near a point
    figure2_neighbours: int = 10          # nearest ones whose genre is compared

    # --- the questions (experiments/questions/) ---
    question_rows: int | None = None      # the most rows of a question, evenly taken; None is all

    # --- the network and its training (§3, §4.1, Table 1), or a convolutional network's settings ---
    training: TrainingSettings = field(default_factory=TrainingSettings)

    # --- the search for such a network (§4.1: about 200 combinations, the best validation error wins) ---
    sweep_points: int = 200
    # the budget: seconds of one process for a point on the average, over all rungs, by the search's own estimate
    sweep_seconds: float = 20.0
    sweep_halving: int = 3                 # a rung has 3 times the frames of the one before; 0: all points, all frames
    sweep_epochs: int | None = None        # the most epochs of fine-tuning in a rung; None is the training's
    sweep_frames: int | None = None        # training frames of the last rung, drawn once for all; None is all
    sweep_valid_frames: int | None = None  # validation frames, likewise

    def changed(self, changes, training, network="frames"):
        """This profile, whose network is the paper's, with changes.

        Parameters
        ----------
        changes : dict
            Fields that differ; a convolutional network's scaling is else that of
            :data:`dbn.training.recipes.CONVOLUTIONAL`.
        training : dict
            Fields of the training that differ. Of a convolutional network's, which are those of
            :class:`dbn.training.settings.ConvolutionalSettings`, epochs and patience are else this profile's.
        network : {"frames", "convolutional"}
            The paper's, or a convolutional one in its place.

        Raises
        ------
        TrainingError
            What `training` says is no setting of this network, or one that it cannot have.
        """
        if network == "frames":
            return replace(self, **changes, training=RECIPES["paper"].settings(asdict(self.training) | training))
        shared = {name: getattr(self.training, name) for name in ("pretrain_epochs", "finetune_epochs", "patience")}
        return replace(self, **{"scaling": CONVOLUTIONAL.scaling} | changes,
                       training=CONVOLUTIONAL.settings(shared | training))


PRETRAIN_SONGS = "labelled", "all"

_FACTOR = 1e-9, 1e9
_SHARE = 1e-9, 1
# The least and the greatest value of each number that is an option: what is outside has no use, or no computer for it.
BOUNDS = {
    "clips_per_genre": (1, 100_000), "clip_seconds": (1, 600),
    "sample_rate": (1000, HIGHEST_RATE), "frame_length": (2, LONGEST_FRAME), "hop_length": (1, LONGEST_HOP),
    "n_mels": (1, 1000), "f_min": (0, HIGHEST_RATE), "f_max": (0, HIGHEST_RATE), "n_mfcc": (1, 1000),
    "window_seconds": (1e-6, 3600), "window_hop": (1e-6, 3600), "window_scales": (1e-6, 3600),
    "svm_frames": (1, 10**7), "svm_windows": (1, 10**7), "valid_stride": (1, 10**6),
    "frame_C": _FACTOR, "frame_gamma": _FACTOR, "window_C": _FACTOR, "window_gamma": _FACTOR,
    "n_tagged_clips": (1, 100_000), "tagged_seconds": (1, 600), "min_players": (1, 10**6), "n_tags": (1, 10**6),
    "tag_folds": (2, 1000), "min_tagged_clips": (1, 10**6),
    "mim_mels": (1, 1000), "mim_mfcc": (1, 1000), "mim_bands": (1, 1000), "mim_max_modulation": (1e-6, 1e6),
    "mim_coefficients": (1, 10_000), "tag_C": _FACTOR, "tag_gamma": _FACTOR,
    "figure2_frames": (1, 10**6), "figure2_perplexity": (1e-6, 1e6), "figure2_neighbours": (1, 10**6),
    "sweep_points": (1, 100_000), "sweep_epochs": (1, 10**6), "sweep_frames": (1, 10**9),
    "sweep_valid_frames": (1, 10**9), "sweep_halving": (0, 1000), "sweep_seconds": (1e-3, 1e9),
    "train_songs": _SHARE, "train_share": _SHARE, "question_rows": (2, 1000),
}

PROFILES = {
    # A few seconds of training on 60 clips of 6 s.
    "smoke": Profile(
        clips_per_genre=6, clip_seconds=6.0, svm_frames=500, frame_gamma=(0.3, 1.0), window_C=(1.0, 10.0),
        figure2_frames=200, n_tagged_clips=120, tag_C=(1.0,), tag_gamma=(1.0,), question_rows=3,
        sweep_points=5, sweep_frames=3000, sweep_valid_frames=500, sweep_seconds=0.3,
        training=TrainingSettings(pretrain_epochs=1, finetune_epochs=5, shard_frames=100_000)),

    # 400 clips of 20 s, minutes on two cores. The pre-training rate is the paper's; the epochs are fewer than its 474.
    "demo": Profile(
        clips_per_genre=40, clip_seconds=20.0, svm_frames=4_000, svm_windows=4_000, n_tagged_clips=600,
        sweep_frames=15_000, sweep_valid_frames=7_500, sweep_seconds=2.5, question_rows=7,
        training=TrainingSettings(finetune_epochs=40)),

    # The chosen model of Table 1 on 1,000 clips of 30 s: 646,000 training frames.
    "paper": Profile(training=TrainingSettings(finetune_epochs=474)),
}
