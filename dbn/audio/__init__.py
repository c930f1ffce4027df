"""From audio files to the network's inputs (§4.1): file -> mono signal -> frames -> DFT magnitudes -> store -> scaling.

Nothing here knows the network.
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "reading": ["load_audio", "mono_blocks"],
    "spectra": ["FRAME_LENGTH", "HOP_LENGTH", "SAMPLE_RATE", "dft_magnitudes", "frame_count", "frame_signal"],
    "streaming": ["stream_magnitudes", "stream_signal"],
    "pooling": ["frame_rate", "pool"],
    "frames": ["FrameSet", "FrameStore"],
    "scaling": ["KINDS", "Scaling"],
})
