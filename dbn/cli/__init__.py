"""The command ``dbn``: one sub-command for each thing to do with audio and a model."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"parser": ["build_parser", "main"]})
