"""A model's features as a page to explore: frames in the plane of Figure 2 and songs with what the network says (§4.1).

:class:`dbn.explorer.gather.Gatherer` reads the songs, :func:`dbn.explorer.plane.planes` lays the frames out by t-SNE,
and :func:`dbn.explorer.page.write_page` writes one HTML file of both. Nothing here needs PyTensor.
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "gather": ["Exploration", "Gatherer", "Recording", "representations"],
    "plane": ["embed", "planes"],
    "page": ["write_page"],
})
