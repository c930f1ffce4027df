"""The convolutional DBN behind scikit-learn's interface: features of whole songs (not in the paper, :mod:`dbn.crbm`).

An example is a song: a float32 array [n_frames, n_features] of DFT magnitudes or any frames, and X a list of them, of
any lengths. Training needs PyTensor; what is fitted is a :class:`dbn.trained.convolutional.ConvolutionalModel`.
"""
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from dbn.audio.frames import FrameSet
from dbn.errors import DBNError
from dbn.estimators import layer_numbers
from dbn.training.convolutional import fit_songs
from dbn.training.settings import ConvolutionalSettings

SETTINGS = ("hidden_layers_sizes", "widths", "pools", "visible", "visible_std", "pretrain_lr", "pretrain_epochs", "k",
            "piece_blocks", "batch_size", "momentum", "weight_decay", "sparsity_cost", "sparsity_target")


class ConvolutionalDBNFeatures(TransformerMixin, BaseEstimator):
    """Features of songs by a convolutional DBN, which is trained without labels.

    Parameters
    ----------
    layers : "all" or list of int
        Which layers' features :meth:`transform` gives, numbered from 1, side by side in this order.
    hidden_layers_sizes, widths, pools, visible, visible_std, pretrain_lr, pretrain_epochs, k, piece_blocks, \
    batch_size, momentum, weight_decay, sparsity_cost, sparsity_target
        See :class:`dbn.training.settings.ConvolutionalSettings`; a `visible_std` of 0.2 is Lee et al.'s.
    scaling : str
        What frames are scaled by, fitted on the training songs; see :mod:`dbn.audio.scaling`.
    random_state : int, numpy.random.RandomState or None
        Of all draws. The same integer gives the same bits.
    verbose : bool
        Whether to show progress bars where standard error is a terminal.

    Attributes
    ----------
    layers_ : tuple of int
        Numbers of the layers.
    model_ : dbn.trained.convolutional.ConvolutionalModel
        Which :func:`dbn.trained.model.save_model` can write.
    history_ : list of dict
        One record an epoch, see :class:`dbn.training.running.TrainingResult`.
    n_features_in_ : int
        Values of a frame.

    References
    ----------
    H. Lee, P. Pham, Y. Largman and A. Ng, "Unsupervised feature learning for audio classification using convolutional
    deep belief networks", NIPS 2009.
    """

    def __init__(self, layers="all", hidden_layers_sizes=(300, 300), widths=(6, 6), pools=(3, 3), visible="gaussian",
                 scaling="whitened-pca-80", visible_std=1.0, pretrain_lr=0.01, pretrain_epochs=20, k=1, piece_blocks=20,
                 batch_size=8, momentum=0.5, weight_decay=0.01, sparsity_cost=5.0, sparsity_target=0.05,
                 random_state=None, verbose=False):
        self.layers = layers
        self.hidden_layers_sizes = hidden_layers_sizes
        self.widths = widths
        self.pools = pools
        self.visible = visible
        self.scaling = scaling
        self.visible_std = visible_std
        self.pretrain_lr = pretrain_lr
        self.pretrain_epochs = pretrain_epochs
        self.k = k
        self.piece_blocks = piece_blocks
        self.batch_size = batch_size
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.sparsity_cost = sparsity_cost
        self.sparsity_target = sparsity_target
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y=None):
        """Train the network.

        Parameters
        ----------
        X : list of array_like [shape=(n_frames, n_features)]
            Songs, of which one at least is as long as a piece. Their frames are held in memory.
        y : None
            Labels have no influence.

        Returns
        -------
        self : ConvolutionalDBNFeatures

        Raises
        ------
        DBNError
            Songs or a parameter that cannot be used, or training that diverges.
        """
        settings = {name: getattr(self, name) for name in SETTINGS}
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        settings = ConvolutionalSettings(**settings, seed=seed)
        layers = layer_numbers(self.layers, len(settings.hidden_layers_sizes))
        songs = _checked_songs(X)
        stops = np.cumsum([0] + [len(song) for song in songs])
        frames = FrameSet(np.concatenate(songs), list(zip(stops, stops[1:])))
        self.model_ = fit_songs(frames, settings, self.scaling, self.verbose)
        self.layers_, self.history_ = layers, self.model_.history
        self.n_features_in_ = songs[0].shape[1]
        return self

    def features(self, X):
        """Features over time: for each song of `X` a list of float32 arrays [n_blocks, n_hidden], one a chosen layer.

        See :meth:`dbn.trained.convolutional.ConvolutionalModel.features`.
        """
        check_is_fitted(self)
        of_all = [self.model_.features(song) for song in _checked_songs(X, self.n_features_in_)]
        return [[of_song[layer - 1] for layer in self.layers_] for of_song in of_all]

    def transform(self, X):
        """Means of the features over each song of `X`, the chosen layers side by side; float32 [n_songs, units].

        Raises
        ------
        DBNError
            A song that is too short for one of the layers.
        """
        rows = []
        for number, of_song in enumerate(self.features(X)):
            for layer, values in zip(self.layers_, of_song):
                if not len(values):
                    raise DBNError(f"song {number} (counted from 0) is too short for layer {layer}, which has no "
                                   "feature of it: give longer songs, or fewer layers")
            rows.append(np.concatenate([values.mean(axis=0) for values in of_song]))
        return np.array(rows)

    def get_feature_names_out(self, input_features=None):
        """Names of the columns, ``layer1_unit0`` and so on; array of object [units]. `input_features` is not used."""
        check_is_fitted(self)
        return np.array([f"layer{layer}_unit{unit}" for layer in self.layers_
                         for unit in range(len(self.model_.biases[layer - 1]))], dtype=object)


def _checked_songs(X, n_features=None):
    """Songs as float32 arrays of one width, `n_features` if given."""
    songs = [np.asarray(song, dtype=np.float32) for song in X]
    if not songs:
        raise DBNError("X has no songs: give a list of arrays [n_frames, n_features]")
    for number, song in enumerate(songs):
        n_features = n_features or (song.shape[1] if song.ndim == 2 else None)
        if song.ndim != 2 or song.shape[1] != n_features or not np.isfinite(song).all():
            raise DBNError(f"song {number} (counted from 0) has the shape {song.shape}: X is a list of finite arrays "
                           f"[n_frames, n_features], here of {n_features} features")
    return songs
