"""The embedded corpus: ten genres, synthesised, so that everything runs without any music at hand.

Nothing here is a recording. Every clip is drawn in two steps, an artist and a
song (`artists`), from its genre's recipe (`genres`); its parts are composed
(`theory`, `composition`), played (`instruments`, `drums`), mixed (`effects`,
`render`), described (`truth`) and written (`storage`). Clips with tags, for §5.2, are in `tagging`.
"""
from dbn.datasets.synthetic.genres import GENRES
from dbn.datasets.synthetic.render import render_clip
from dbn.datasets.synthetic.storage import generate, load
from dbn.datasets.synthetic.tagging import generate_tagged

__all__ = ["GENRES", "generate", "generate_tagged", "load", "render_clip"]
