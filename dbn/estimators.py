"""The network behind scikit-learn's interface: a classifier of frames, and the features it learns (paper §3, §4.1).

Conventions
-----------
An example is a row: a DFT frame, or any vector of numbers; where the scaling is "max" or takes logarithms, of no
negative ones.
Rows are float32, other floats and integers are converted, and so are the results: training computes in float32, the
products of a fitted network are made in float64. Training needs PyTensor; what is fitted is a
:class:`dbn.trained.model.Model`, plain arrays, so fitted estimators are pickled, copied to other processes and used
without a compiler.

The defaults are for rows of any kind: standardised columns under Gaussian visible units, two layers of 100, momentum.
They were chosen on drawn data sets. :data:`PAPER` holds what the paper has for DFT frames:
``DBNClassifier(**PAPER)``.

There is no ``partial_fit``: pre-training and early stopping look at all rows again and again. ``warm_start`` goes on
from the fit before.
"""
from numbers import Integral, Real

import numpy as np
from scipy.special import log_expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_non_negative, validate_data

from dbn.audio.scaling import Scaling
from dbn.errors import DBNError
from dbn.trained.forward import class_activations, hidden_activations
from dbn.training.fit import fit_rows, held_out_rows
from dbn.training.settings import TrainingSettings

SETTINGS = ("hidden_layers_sizes", "visible", "output", "pretrain_lr", "pretrain_epochs", "k", "persistent",
            "finetune_lr", "finetune_epochs", "batch_size", "patience", "activation", "dropout", "momentum",
            "weight_decay", "sparsity_cost", "sparsity_target")

PAPER = {"hidden_layers_sizes": (50, 50, 50), "visible": "bernoulli", "scaling": "minmax", "momentum": 0.0}  # Table 1


class _DBNEstimator(BaseEstimator):
    """What classifier and features share: the parameters and the training. The classifier documents both."""

    def __init__(self, hidden_layers_sizes=(100, 100), visible="gaussian", output="softmax", scaling="standardize",
                 pretrain_lr=0.001, pretrain_epochs=5, k=1, persistent=False, finetune_lr=0.1, finetune_epochs=474,
                 batch_size=20, patience=75, validation_fraction=0.2, warm_start=False, random_state=None,
                 verbose=False, activation="sigmoid", dropout=0.0, momentum=0.9, weight_decay=0.0, sparsity_cost=0.0,
                 sparsity_target=0.05):
        self.hidden_layers_sizes = hidden_layers_sizes
        self.visible = visible
        self.output = output
        self.scaling = scaling
        self.pretrain_lr = pretrain_lr
        self.pretrain_epochs = pretrain_epochs
        self.k = k
        self.persistent = persistent
        self.finetune_lr = finetune_lr
        self.finetune_epochs = finetune_epochs
        self.batch_size = batch_size
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.activation = activation
        self.dropout = dropout
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.sparsity_cost = sparsity_cost
        self.sparsity_target = sparsity_target

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = self._takes_magnitudes
        return tags

    @property
    def _takes_magnitudes(self):
        """Whether the scaling would cut negative numbers to 0."""
        # by its name alone: scikit-learn asks before the scaling is known to be one
        return str(self.scaling).startswith(("max", "log"))

    def _checked_settings(self):
        """The training settings but for their seed, once every parameter is known to be right."""
        settings = {name: getattr(self, name) for name in SETTINGS}
        TrainingSettings(**settings)
        Scaling(self.scaling)
        fraction = self.validation_fraction
        if not (isinstance(fraction, Real) and 0 < fraction < 1):
            raise DBNError(f"validation_fraction is {fraction!r}: give a number between 0 and 1, both excluded")
        for name in ("warm_start", "verbose"):
            if not isinstance(getattr(self, name), (bool, np.bool_, Integral)):
                raise DBNError(f"{name} is {getattr(self, name)!r}: give True or False")
        try:
            check_random_state(self.random_state)
        except ValueError:
            raise DBNError(f"random_state is {self.random_state!r}: give a non-negative integer, a "
                           "numpy.random.RandomState or None") from None
        return settings

    def _checked_rows(self, X, y="no_validation", reset=False):
        """Rows (and labels, if given) as scikit-learn wants them checked; X as float32."""
        checked = validate_data(self, X, y, reset=reset, dtype=np.float32)
        if self._takes_magnitudes:
            check_non_negative(checked[0] if isinstance(checked, tuple) else checked,
                               f"{type(self).__name__} with scaling={self.scaling!r}")
        return checked

    def _fit(self, X, labels, valid, classes, settings):
        """Train on `X` float32 [n, n_features], and set `model_` and what tells of its training.

        Without `labels`, the class numbers int32 [n], the layers are pre-trained and no more. `valid` is a pair of the
        same form; if it is None, a part of the rows is held out.
        """
        before = self.model_ if self._goes_on() else None
        rng = check_random_state(self.random_state)
        history = before.history if before else []
        # a continued fit must not repeat the shuffles and draws of the one before
        settings = TrainingSettings(**settings, seed=int(rng.randint(2**31 - 1)) + len(history))
        if labels is not None and valid is None:
            held_out = held_out_rows(labels, self.validation_fraction, rng)
            valid = X[held_out], labels[held_out]
            X, labels = X[~held_out], labels[~held_out]
        names = tuple(str(name) for name in classes)
        if before:
            _check_fits(before, settings, self.scaling, names)
        self.model_, numbers = fit_rows(X, labels, valid, names, settings, self.scaling, before, self.verbose)
        self.history_ = self.model_.history
        self.best_epoch_ = numbers.get("best_epoch")
        self.validation_score_ = None if labels is None else 1 - numbers["best_error"]

    def _goes_on(self):
        return self.warm_start and hasattr(self, "model_")

    def reconstruct(self, X, n_layers=None):
        """Rows of `X` sent up through `n_layers` RBMs (all if None) and down again; float32 [n, n_features].

        See :meth:`dbn.trained.model.Model.reconstruct`: in the units of `X`, and best after a fit without labels.
        """
        check_is_fitted(self)
        return self.model_.reconstruct(self._checked_rows(X), n_layers)

    def sample(self, n=1, n_steps=1000, seed=0, X=None, n_layers=None):
        """`n` rows that the network takes for likely, or one for each row of `X`, begun there; float32 [n, n_features].

        See :meth:`dbn.trained.model.Model.sample`: in the units of `X`, and best after a fit without labels.
        """
        check_is_fitted(self)
        return self.model_.sample(n, n_steps, seed, None if X is None else self._checked_rows(X), n_layers)

    def _numbered(self, X, y, X_valid, y_valid):
        """Check labelled rows: X, class numbers int32 [n], the validation set or None, and the classes."""
        X, y = self._checked_rows(X, y, reset=not self._goes_on())
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise DBNError(f"{type(self).__name__} needs at least two classes, but y has only one class, {classes[0]}")
        if (X_valid is None) != (y_valid is None):
            raise DBNError("X_valid and y_valid belong together: give both, or none to hold out a part of the rows")
        valid = None
        if X_valid is not None:
            valid_X, valid_y = self._checked_rows(X_valid, y_valid)
            unknown = np.setdiff1d(valid_y, classes)
            if len(unknown):
                raise DBNError(f"y_valid has the class {unknown[0]}, which y lacks")
            valid = valid_X, np.searchsorted(classes, valid_y).astype(np.int32)
        return X, labels.astype(np.int32), valid, classes


def _check_fits(model, settings, scaling, names):
    """Refuse to go on from `model` with another network."""
    pairs = {"hidden_layers_sizes": (tuple(len(bias) for bias in model.biases[:-1]), settings.hidden_layers_sizes),
             "visible": (model.visible, settings.visible), "output": (model.output, settings.output),
             "activation": (model.activation, settings.activation),
             "scaling": (model.scaling.kind, scaling),
             "y": (model.classes, names if model.classes and names else model.classes)}
    for name, (before, now) in pairs.items():
        if before != now:
            raise DBNError(f"warm_start goes on with the network of the fit before, but {name} has changed from "
                           f"{before!r} to {now!r}: set warm_start=False to begin anew")


def layer_numbers(layers, n_layers):
    """The parameter `layers` of :class:`DBNFeatures` as a tuple of numbers from 1; DBNError if it is not right."""
    if isinstance(layers, str) and layers == "all":
        return tuple(range(1, n_layers + 1))
    numbers = layers if isinstance(layers, (list, tuple)) else ()
    if not numbers or len(set(numbers)) < len(numbers) or not all(
            isinstance(layer, Integral) and 1 <= layer <= n_layers for layer in numbers):
        raise DBNError(f'layers is {layers!r}: give "all", or a list of different layers from 1 to {n_layers}')
    return tuple(int(layer) for layer in numbers)


class DBNClassifier(ClassifierMixin, _DBNEstimator):
    """Deep belief network that tells the class of each row: pre-trained by contrastive divergence, then fine-tuned.

    Parameters
    ----------
    hidden_layers_sizes, visible, output, pretrain_lr, pretrain_epochs, k, persistent, finetune_lr, finetune_epochs, \
    batch_size, patience, activation, dropout, momentum, weight_decay, sparsity_cost, sparsity_target
        See :class:`dbn.training.settings.TrainingSettings`. Its defaults are the paper's; here the layers, the visible
        units, the scaling and the momentum have others.
    scaling : {"max", "minmax", "standardize", "log", "log-standardize", "none"}, or principal components: "pca-50"
        What the rows are scaled by, fitted on the training rows; see :mod:`dbn.audio.scaling`.
    validation_fraction : float
        Part of each class's rows that is not trained on; its error decides when to stop and which epoch is kept.
        Rows are drawn singly: of music, frames of one song then lie on both sides and the error is too small. Give
        `fit` a validation set of other songs instead.
    warm_start : bool
        Whether a second `fit` begins with the parameters and the scaling of the first. It then fine-tunes for up to
        `finetune_epochs` more; the layers are not pre-trained again. The classes must be the same. With
        ``random_state=None`` other rows are held out each time, which the fit before has trained on.
    random_state : int, numpy.random.RandomState or None
        Of all draws: held-out rows, weights, samples, shuffling. The same integer gives the same bits.
    verbose : bool
        Whether to show progress bars where standard error is a terminal.

    Attributes
    ----------
    classes_ : array [n_classes]
        The labels, sorted.
    model_ : dbn.trained.model.Model
        The trained network, which :func:`dbn.trained.model.save_model` can write.
    history_ : list of dict
        One record an epoch, see :class:`dbn.training.running.TrainingResult`; of all fits, if they were continued.
    best_epoch_ : int
        Epoch of this fit's fine-tuning whose parameters were kept; 0 is before the first.
    validation_score_ : float
        Its share of right rows of the validation set.
    n_features_in_ : int
        Width of the rows.
    feature_names_in_ : array of str [n_features_in_]
        Names of the columns, if X had any.

    References
    ----------
    P. Hamel and D. Eck, "Learning features from music audio with deep belief networks", ISMIR 2010, §3 and §4.1.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from dbn.estimators import DBNClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> network = DBNClassifier(hidden_layers_sizes=(50,), random_state=0).fit(X[:1200], y[:1200])
    >>> bool(network.score(X[1200:], y[1200:]) > 0.8)
    True
    """

    def fit(self, X, y, X_valid=None, y_valid=None):
        """Train the network.

        Parameters
        ----------
        X : array_like [shape=(n, n_features)]
            Finite; not negative where the scaling is "max" or takes logarithms.
        y : array_like [shape=(n,)]
            Labels, at least two different ones.
        X_valid, y_valid : array_like, optional
            A validation set of the same form; no row is held out then.

        Returns
        -------
        self : DBNClassifier

        Raises
        ------
        ValueError
            Rows, labels or a parameter that cannot be used (:class:`dbn.errors.DBNError` for parameters), or training
            that diverges (:class:`dbn.errors.TrainingError`).
        """
        settings = self._checked_settings()
        if settings["finetune_epochs"] == 0:
            raise DBNError("finetune_epochs is 0: a classifier learns its classes by fine-tuning, give at least 1")
        X, labels, valid, classes = self._numbered(X, y, X_valid, y_valid)
        self._fit(X, labels, valid, classes, settings)
        self.classes_ = classes
        return self

    def predict_proba(self, X):
        """Class probabilities of the rows of `X`; float32 [n, n_classes], each row of sum 1.

        The outputs of ``output="sigmoid"`` are independent of each other; they are divided by their sum.
        """
        check_is_fitted(self)
        X = self._checked_rows(X)
        # in float64: in float32 a row's last digits depend on which of BLAS's kernels its place among the others meets
        model = self.model_
        activations = class_activations(X, model.layers(np.float64), model.scaling, model.activation)
        if model.output == "sigmoid":
            # by logarithms: far from the training rows all outputs may round to 0, and their shares to 0 / 0
            activations = log_expit(activations)
        return softmax(activations, axis=1).astype(np.float32)

    def predict(self, X):
        """The most probable class of each row of `X`; [n], of the dtype of `classes_`."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]


class DBNFeatures(TransformerMixin, _DBNEstimator):
    """The activations of a deep belief network's hidden layers, which are the paper's learned features.

    With labels the network is fine-tuned before its activations are taken, as in the paper; without labels, or with
    ``finetune_epochs=0``, it is pre-trained only.

    Parameters
    ----------
    layers : "all" or list of int
        Which layers' activations, numbered from 1, side by side in this order; "all" is the paper's "All Layers".
    hidden_layers_sizes, ..., verbose
        See :class:`DBNClassifier`. After a fit without labels, `warm_start` lets ``fit(X)`` pre-train for more epochs
        and ``fit(X, y)`` fine-tune what was learned from rows without labels.

    Attributes
    ----------
    layers_ : tuple of int
        Numbers of the layers.
    model_, history_, best_epoch_, validation_score_, n_features_in_, feature_names_in_
        See :class:`DBNClassifier`; `best_epoch_` and `validation_score_` are None without labels.

    References
    ----------
    P. Hamel and D. Eck, "Learning features from music audio with deep belief networks", ISMIR 2010, §4.1 and §5.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from dbn.estimators import DBNFeatures
    >>> X, _ = load_digits(return_X_y=True)
    >>> features = DBNFeatures(hidden_layers_sizes=(20, 10), layers=[2], random_state=0).fit(X)
    >>> features.transform(X).shape
    (1797, 10)
    """

    def __init__(self, layers="all", hidden_layers_sizes=(100, 100), visible="gaussian", output="softmax",
                 scaling="standardize", pretrain_lr=0.001, pretrain_epochs=5, k=1, persistent=False, finetune_lr=0.1,
                 finetune_epochs=474, batch_size=20, patience=75, validation_fraction=0.2, warm_start=False,
                 random_state=None, verbose=False, activation="sigmoid", dropout=0.0, momentum=0.9, weight_decay=0.0,
                 sparsity_cost=0.0, sparsity_target=0.05):
        super().__init__(hidden_layers_sizes, visible, output, scaling, pretrain_lr, pretrain_epochs, k, persistent,
                         finetune_lr, finetune_epochs, batch_size, patience, validation_fraction, warm_start,
                         random_state, verbose, activation, dropout, momentum, weight_decay, sparsity_cost,
                         sparsity_target)
        self.layers = layers

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def fit(self, X, y=None, X_valid=None, y_valid=None):
        """Train the network.

        Parameters
        ----------
        X : array_like [shape=(n, n_features)]
            Finite; not negative where the scaling is "max" or takes logarithms.
        y : array_like [shape=(n,)], optional
            Labels, at least two different ones.
        X_valid, y_valid : array_like, optional
            A validation set of the same form; no row is held out then. Not looked at without labels.

        Returns
        -------
        self : DBNFeatures

        Raises
        ------
        ValueError
            As in :meth:`DBNClassifier.fit`.
        """
        settings = self._checked_settings()
        layers = layer_numbers(self.layers, len(self.hidden_layers_sizes))
        if y is None or settings["finetune_epochs"] == 0:
            self._fit(self._checked_rows(X, reset=not self._goes_on()), None, None, (), settings)
        else:
            self._fit(*self._numbered(X, y, X_valid, y_valid), settings)
        self.layers_ = layers
        return self

    def transform(self, X):
        """Activations of the chosen layers for the rows of `X`; float32 [n, units], of sigmoid units in [0, 1]."""
        check_is_fitted(self)
        layers = self.model_.layers(np.float64)[:-1]  # see DBNClassifier.predict_proba
        activations = hidden_activations(self._checked_rows(X), layers, self.model_.scaling, self.model_.activation)
        return np.hstack([activations[layer - 1].astype(np.float32) for layer in self.layers_])

    def get_feature_names_out(self, input_features=None):
        """Names of the columns, ``layer1_unit0`` and so on; array of object [units].

        `input_features` has no influence on them; if given, it must be the names that `fit` saw.
        """
        check_is_fitted(self)
        if input_features is not None:
            seen = getattr(self, "feature_names_in_", input_features)
            if list(input_features) != list(seen) or len(input_features) != self.n_features_in_:
                raise DBNError("input_features is not equal to feature_names_in_: give None, or the "
                               f"{self.n_features_in_} names of the columns that fit saw")
        return np.array([f"layer{layer}_unit{unit}" for layer in self.layers_
                         for unit in range(len(self.model_.biases[layer - 1]))], dtype=object)
