"""The options of a training run, each with its default and its reason (paper §4.1, Table 1).

What came after the paper (:attr:`TrainingSettings.activation` and the five after it) is off by default.
"""
from dataclasses import dataclass, fields
from numbers import Real

import numpy as np

from dbn.audio.scaling import Scaling
from dbn.errors import TrainingError
from dbn.trained.archive import MAX_BYTES, MAX_NETWORK_BYTES
from dbn.trained.convolutional import MOST_FRAMES, frames_of_blocks, product_bytes
from dbn.trained.model import ANSWERS


@dataclass(frozen=True)
class TrainingSettings:
    """Every choice of a training run; the defaults are the paper's Table 1; where it is silent, our own.

    Attributes
    ----------
    hidden_layers_sizes : tuple of int
        Units of each hidden layer.
    visible : {"bernoulli", "gaussian"}
        Kind of the first RBM's visible units.
    output : {"softmax", "sigmoid"}
        Softmax with its negative log-likelihood, or sigmoids with the element-wise cross-entropy.
    pretrain_lr : float
        Learning rate of the unsupervised part.
    pretrain_epochs : int
        Epochs of each layer's pre-training.
    finetune_lr : float
        Learning rate of the supervised part.
    finetune_epochs : int
        The most epochs that fine-tuning may take.
    k : int
        Gibbs steps of contrastive divergence.
    persistent : bool
        Pre-train by PCD-k: Gibbs chains, as many as a minibatch has frames, go on from one minibatch to the next
        instead of beginning at its frames.
    batch_size : int
        Frames of a minibatch.
    patience : int
        Fine-tuning ends after this many epochs in a row without a lower validation error.
    shard_frames : int
        The most frames held in memory at a time, 0.4 GB of the paper's; more are trained on in turns.
    seed : int
        Of all draws: weights, samples, shuffling.
    activation : {"sigmoid", "relu"}
        Of the hidden layers. Rectified units (Nair and Hinton 2010) are not pre-trained: pretrain_epochs is 0.
    dropout : float
        Share of every hidden layer's units left out at random in each step of fine-tuning (Hinton et al. 2012).
    momentum : float
        Share of a step's direction that the next one keeps, in both parts of the training (Hinton 2010, §9).
    weight_decay : float
        Times the weights it is added to their gradient, in both parts: L2 decay (Hinton 2010, §10).
    sparsity_cost : float
        How strongly pre-training leads each hidden bias to where the unit's mean is sparsity_target (Lee et al. 2009).
    sparsity_target : float
        That mean; of use only with a sparsity_cost.
    """

    hidden_layers_sizes: tuple = (50, 50, 50)
    visible: str = "bernoulli"
    output: str = "softmax"
    pretrain_lr: float = 0.001
    pretrain_epochs: int = 5
    k: int = 1
    persistent: bool = False
    finetune_lr: float = 0.1
    finetune_epochs: int = 474
    batch_size: int = 20
    patience: int = 75
    shard_frames: int = 200_000
    seed: int = 0
    activation: str = "sigmoid"
    dropout: float = 0.0
    momentum: float = 0.0
    weight_decay: float = 0.0
    sparsity_cost: float = 0.0
    sparsity_target: float = 0.05

    def __post_init__(self):
        sizes = self.hidden_layers_sizes
        _check_sizes(sizes)
        _check_choices(self)
        if not isinstance(self.persistent, (bool, np.bool_)):
            raise TrainingError(f"persistent is {self.persistent!r}: give True or False")
        if self.activation == "relu" and self.pretrain_epochs:
            raise TrainingError(f"activation is 'relu' and pretrain_epochs is {self.pretrain_epochs}: contrastive "
                                "divergence trains binary hidden units; give pretrain_epochs 0, or activation sigmoid")
        _make_plain(self, hidden_layers_sizes=tuple(int(n) for n in sizes), persistent=bool(self.persistent))

    @property
    def min_frames(self):
        """The fewest frames of a song."""
        return 1

    def require_size(self, n_ins, n_outs=0):
        """Raise a :class:`~dbn.errors.TrainingError` if such a network has more weights than a model file may hold."""
        sizes = [n_ins, *self.hidden_layers_sizes, n_outs]
        _require_bytes(self, sizes, [1] * len(sizes), "units")


@dataclass(frozen=True)
class ConvolutionalSettings:
    """Every choice of the training of a convolutional DBN, see :mod:`dbn.crbm` for those of Lee et al.

    Attributes
    ----------
    hidden_layers_sizes : tuple of int
        Bases of each layer.
    widths, pools : tuple of int
        Frames of a base, and units of a block, of each layer.
    visible, output, pretrain_lr, pretrain_epochs, k, finetune_lr, finetune_epochs, patience
        As in :class:`TrainingSettings`.
    visible_std : float
        Standard deviation of Gaussian visible units: the scaled frames are divided by it, which is the same.
    piece_blocks, finetune_blocks : int
        Length of a piece: the blocks of a base that lie in it; in fine-tuning, those of the top layer.
    batch_size : int
        Pieces of a minibatch.
    momentum, weight_decay, sparsity_cost, sparsity_target
        As in :class:`TrainingSettings`, of pre-training alone.
    seed : int
        Of all draws: weights, samples, where songs are cut, the order of the pieces.
    """

    hidden_layers_sizes: tuple = (300, 300)
    widths: tuple = (6, 6)
    pools: tuple = (3, 3)
    visible: str = "gaussian"
    visible_std: float = 1.0
    output: str = "softmax"
    pretrain_lr: float = 0.01
    pretrain_epochs: int = 20
    k: int = 1
    finetune_lr: float = 0.1
    finetune_epochs: int = 474
    piece_blocks: int = 20
    finetune_blocks: int = 4
    batch_size: int = 8
    patience: int = 75
    momentum: float = 0.5
    weight_decay: float = 0.01
    sparsity_cost: float = 5.0
    sparsity_target: float = 0.05
    seed: int = 0

    def __post_init__(self):
        _check_sizes(self.hidden_layers_sizes)
        _check_choices(self)
        for name in ("widths", "pools"):
            value = getattr(self, name)
            if not isinstance(value, (tuple, list)) or len(value) != len(self.hidden_layers_sizes) or not all(
                    _is_integer(n) and 1 <= n <= MOST_FRAMES for n in value):
                raise TrainingError(f"{name} is {value!r}: give a whole number of 1 to {MOST_FRAMES} for each of the "
                                    f"{len(self.hidden_layers_sizes)} layers")
        if self.visible != "gaussian" and self.visible_std != 1:
            raise TrainingError(f"visible_std is {self.visible_std!r} and visible {self.visible!r}: only Gaussian "
                                "units have one; give 1, or visible gaussian")
        _make_plain(self, **{name: tuple(int(n) for n in getattr(self, name))
                             for name in ("hidden_layers_sizes", "widths", "pools")})

    @property
    def min_frames(self):
        """The fewest frames of a song: those that a block of the last layer sees."""
        return frames_of_blocks(1, self.widths, self.pools)

    def require_size(self, n_ins, n_outs=0):
        """Raise a :class:`~dbn.errors.TrainingError` if such a network has more weights than a model file may hold.

        So it does if a product of its features takes more memory than a model may.
        """
        sizes = [n_ins, *self.hidden_layers_sizes, n_outs]
        _require_bytes(self, sizes, [*self.widths, 1], "or shorter bases")
        if max(map(product_bytes, self.widths, self.pools, sizes)) > MAX_BYTES:
            raise TrainingError(f"widths are {self.widths!r} and pools {self.pools!r}: on {n_ins} inputs the frames of "
                                f"a product take more than {MAX_BYTES / 1e9:.2f} GB; give shorter bases or blocks")


def checked_scaling(kind, settings):
    """The scaling of a network's inputs, not fitted yet.

    Parameters
    ----------
    kind : str
        One of :data:`dbn.audio.scaling.KINDS`, or principal components.
    settings : TrainingSettings or ConvolutionalSettings
        The first has no ``visible_std``: its visible units' is 1.

    Returns
    -------
    dbn.audio.scaling.Scaling

    Raises
    ------
    DBNError
        Another kind.
    TrainingError
        A kind that clips, which would cut off most of what is divided by a ``visible_std`` below 1.
    """
    scaling, deviation = Scaling(kind), getattr(settings, "visible_std", 1)
    if scaling.clips and deviation < 1:
        raise TrainingError(f"visible_std is {deviation!r} and scaling {kind!r}: this scaling clips to [0, 1] what is "
                            "divided by visible_std; give visible_std 1, or a scaling that clips nothing, such as "
                            "standardize")
    return scaling


def _require_bytes(settings, sizes, widths, fewer):
    layers = [4 * width * below * above for width, below, above in zip(widths, sizes, sizes[1:])]
    if max(layers) > MAX_BYTES or sum(layers) + 8 * sum(sizes) > MAX_NETWORK_BYTES:
        raise TrainingError(f"hidden_layers_sizes is {settings.hidden_layers_sizes!r}: on {sizes[0]} inputs the "
                            f"weights take {sum(layers) / 1e9:,.2f} GB, those of one layer up to "
                            f"{max(layers) / 1e9:,.2f} GB; a model may have {MAX_NETWORK_BYTES / 1e9:.2f} GB, a layer "
                            f"{MAX_BYTES / 1e9:.2f} GB: give fewer {fewer}")


def _check_sizes(sizes):
    if not isinstance(sizes, (tuple, list)) or not all(_is_integer(n) and n > 0 for n in sizes) or (
            not 1 <= len(sizes) <= _MOST_LAYERS):
        raise TrainingError(f"hidden_layers_sizes is {sizes!r}: give at least one layer, each of at least one "
                            f"unit, and at most {_MOST_LAYERS} layers")


def _check_choices(settings):
    for name, choices in ANSWERS.items():
        if hasattr(settings, name) and getattr(settings, name) not in choices:
            raise TrainingError(f"{name} is {getattr(settings, name)!r}: choose one of {', '.join(choices)}")


def _make_plain(settings, **plain):
    """Check the numbers, and put plain ones in their place: a sweep draws with NumPy, whose are none of JSON's."""
    names = {field.name for field in fields(settings)}
    for name in filter(names.__contains__, _INTEGERS):
        least, most = _INTEGERS[name]
        plain[name] = int(_checked(settings, name, lambda value: _is_integer(value) and least <= value <= most,
                                   f"an integer of at least {least} and at most {most:,}"))
    for name in filter(names.__contains__, _NUMBERS):
        lowest, below, text = _NUMBERS[name]
        plain[name] = float(_checked(
            settings, name, lambda value: isinstance(value, Real) and lowest <= value < below, text))
    for name, value in plain.items():
        object.__setattr__(settings, name, value)


def _checked(settings, name, is_right, text):
    value = getattr(settings, name)
    if not is_right(value):
        raise TrainingError(f"{name} is {value!r}: give {text}")
    return value


_MOST_LAYERS = 100
# the least and the greatest value of each
_INTEGERS = {"pretrain_epochs": (0, 10**6), "finetune_epochs": (0, 10**6), "k": (1, 10**6), "batch_size": (1, 10**6),
             "piece_blocks": (1, 10**6), "finetune_blocks": (1, 10**6),
             "shard_frames": (1, 10**12), "seed": (0, 2**32 - 1), "patience": (1, 10**9)}
_POSITIVE = np.nextafter(0, 1), np.inf, "a positive number"
_SHARE = 0, 1, "a number from 0 on, below 1"
_FACTOR = 0, np.inf, "0 or a positive number"
_NUMBERS = {"pretrain_lr": _POSITIVE, "finetune_lr": _POSITIVE, "visible_std": _POSITIVE, "dropout": _SHARE,
            "momentum": _SHARE, "weight_decay": _FACTOR, "sparsity_cost": _FACTOR, "sparsity_target": _SHARE}


def _is_integer(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
