"""A trained network as one file, and its use by NumPy alone: nothing here needs PyTensor.

Beside the code lies the model that ships with the package, ``synthetic-demo.npz``.
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "model": ["Model", "load_model", "open_model", "save_model"],
    "forward": ["class_probabilities", "hidden_activations"],
    "convolutional": ["ConvolutionalModel"],
    "tagger": ["TagMeasure", "TagSVM", "Tagger", "has_tags", "load_tagger", "save_tagger"],
})
