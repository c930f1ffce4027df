"""Deep belief networks that learn features from music audio (Hamel & Eck, ISMIR 2010).

What a user imports stands here and is loaded on first use, so that ``import dbn`` costs nothing and a model is used
without PyTensor. The symbolic network is in this folder, by the names of the deeplearning.net tutorials; every trade
that serves it has a room of its own:

=============  ====================================================================================
``graph``      how a symbolic graph becomes a fast function
``audio``      from audio files to the network's inputs (§4.1)
``datasets``   corpora and splits (§4.1, §5.2)
``features``   MFCCs, MIM features, aggregation over windows (§5)
``trained``    a trained model as a file, and its use without a compiler
``training``   pre-training and fine-tuning (§3, §4.1)
``evaluation`` SVMs, tags, intervals and tests (§5)
``explorer``   a model's features as a page to see and hear
``cli``        the command ``dbn``
``system``     files, BLAS threads, interrupts
=============  ====================================================================================
"""
import lazy_loader

from dbn.system.moved import keep_old_places

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "rbm": ["RBM", "GaussianRBM"],
    "crbm": ["ConvolutionalRBM", "GaussianConvolutionalRBM"],
    "cdbn": ["ConvolutionalDBN"],
    "likelihood": ["annealed_importance_sampling", "log_likelihood", "log_partition"],
    "dbn": ["DBN"],
    "mlp": ["HiddenLayer"],
    "logistic": ["LogisticRegression"],
    "graph": ["RandomStreams"],
    "estimators": ["DBNClassifier", "DBNFeatures"],
    "song_estimators": ["ConvolutionalDBNFeatures"],
    "training.settings": ["ConvolutionalSettings", "TrainingSettings"],
    "training.loops": ["train"],
    "training.convolutional": ["train_convolutional"],
    "trained.convolutional": ["ConvolutionalModel"],
    "trained.model": ["Model", "load_model", "open_model", "save_model"],
    "trained.tagger": ["Tagger", "load_tagger", "save_tagger"],
    "audio.reading": ["load_audio"],
    "audio.spectra": ["dft_magnitudes"],
    "audio.frames": ["FrameSet", "FrameStore"],
    "audio.scaling": ["Scaling"],
    "features.mfcc": ["mfcc"],
    "features.mim": ["mim_features"],
    "evaluation.svm": ["RBFSVM"],
    "errors": ["AudioError", "DBNError", "DatasetError", "DivergedError", "ModelFileError", "TrainingError"],
})

keep_old_places({"dbn.aggregate": "dbn.features.aggregate", "dbn.model_io": "dbn.trained.model",
                 "dbn.tagger": "dbn.trained.tagger"})
