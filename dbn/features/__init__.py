"""The features that the learned ones are compared with, and what all are aggregated by (§5).

The functions :func:`dbn.features.mfcc.mfcc` and :func:`dbn.features.aggregate.aggregate` bear their modules' names and
are imported from there.
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "mfcc": ["mel_filterbank"],
    "mim": ["MIMSettings", "mim_features", "temporal_features", "timbral_features"],
    "aggregate": ["WindowStatistics", "window_bounds"],
})
