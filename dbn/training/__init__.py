"""Greedy pre-training, fine-tuning and early stopping (§3, §4.1), from the frames of a split to a trained model."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "settings": ["ConvolutionalSettings", "TrainingSettings"],
    "convolutional": ["fit_songs", "train_convolutional"],
    "loops": ["build_dbn", "finetune", "frame_error", "pretrain", "train"],
    "running": ["TrainingResult"],
    "state": ["RunState", "versions"],
    "fit": ["fit_model", "fit_rows", "label_songs"],
})
