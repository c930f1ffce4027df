"""The corpora: GTZAN, MajorMiner, any folder with one sub-folder a class, and the embedded synthetic corpus."""
from dbn.datasets.corpus import Corpus, Track

__all__ = ["Corpus", "Track"]
