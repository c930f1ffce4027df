"""Deep belief networks that learn features from music audio (Hamel & Eck, ISMIR 2010)."""

__version__ = "0.1.0"
