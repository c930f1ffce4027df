"""The options of a training run, each with its default and its reason (paper §4.1, Table 1)."""
from dataclasses import dataclass
from numbers import Real

import numpy as np

from dbn.errors import TrainingError


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
    pretrain_lr, finetune_lr : float
        Learning rates of the unsupervised and the supervised part.
    pretrain_epochs, finetune_epochs : int
        Epochs of each layer's pre-training; the most that fine-tuning may take.
    k : int
        Gibbs steps of contrastive divergence.
    persistent : bool
        Pre-train by PCD-k: Gibbs chains, as many as a minibatch has frames, go on from one minibatch to the next
        instead of beginning at its frames.
    batch_size : int
        Frames of a minibatch.
    patience : int or None
        Minibatches that fine-tuning makes at the least; None stands for ten epochs (the tutorial's four end some
        runs on the plateau that they begin with).
    patience_increase, improvement_threshold : float
        When the validation error falls below `improvement_threshold` times the best so far, the patience becomes
        `patience_increase` times the minibatches made until then, if that is more.
    shard_frames : int
        The most frames held in memory at a time, 0.4 GB of the paper's; more are trained on in turns.
    seed : int
        Of all draws: weights, samples, shuffling.
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
    patience: int | None = None
    patience_increase: float = 2.0
    improvement_threshold: float = 0.995
    shard_frames: int = 200_000
    seed: int = 0

    def __post_init__(self):
        sizes = self.hidden_layers_sizes
        if not isinstance(sizes, (tuple, list)) or not sizes or not all(_is_integer(n) and n > 0 for n in sizes):
            raise TrainingError(f"hidden_layers_sizes is {sizes!r}: give at least one layer, each of at least one unit")
        for name, choices in (("visible", ("bernoulli", "gaussian")), ("output", ("softmax", "sigmoid"))):
            if getattr(self, name) not in choices:
                raise TrainingError(f"{name} is {getattr(self, name)!r}: choose one of {', '.join(choices)}")
        if not isinstance(self.persistent, (bool, np.bool_)):
            raise TrainingError(f"persistent is {self.persistent!r}: give True or False")
        plain = {"hidden_layers_sizes": tuple(int(n) for n in sizes), "persistent": bool(self.persistent)}
        for name, least in (("pretrain_epochs", 0), ("finetune_epochs", 0), ("k", 1), ("batch_size", 1),
                            ("shard_frames", 1), ("seed", 0), ("patience", 1)):
            value = getattr(self, name)
            if name == "patience" and value is None:
                continue
            if not (_is_integer(value) and value >= least):
                raise TrainingError(f"{name} is {value!r}: give an integer of at least {least}")
            plain[name] = int(value)
        for name in ("pretrain_lr", "finetune_lr", "patience_increase", "improvement_threshold"):
            value = getattr(self, name)
            if not (isinstance(value, Real) and 0 < value < np.inf):
                raise TrainingError(f"{name} is {value!r}: give a positive number")
            plain[name] = float(value)
        # a sweep draws its settings with NumPy, whose numbers cannot be written as JSON
        for name, value in plain.items():
            object.__setattr__(self, name, value)


def _is_integer(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
