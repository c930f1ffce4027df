"""Artists and their songs: two draws, so that the songs of one artist have a sound in common.

What an artist settles once: the band, its instruments and what each of them
plays, the drum kit, a few grooves and progressions, a typical tempo, the studio
(room, tone controls, bandwidth, hiss, loudness). What every song settles: key,
tempo near the typical one, which groove and progression, who pauses, the
balance of the mix.
"""
from dataclasses import dataclass, fields, replace

import numpy as np

from dbn.datasets.synthetic.drums import KITS, Kit
from dbn.datasets.synthetic.genres import RECIPES
from dbn.datasets.synthetic.instruments import INSTRUMENTS, Timbre, personal

# Share of an artist's choices that come from a neighbouring genre; it sets how hard the corpus is.
BORROWED = 0.06
# Standard deviations: dB of a player's level, in the band and from song to song; dB of the tone controls.
BAND_LEVEL, SONG_LEVEL, TONE = 1.5, 1.5, 1.5
# Share of a band's players that sit out a song.
PAUSE = 0.08


@dataclass(frozen=True)
class Seat:
    """A player in a band: the instrument's name and sound, a style of playing, level in dB, central pitch."""

    instrument: str
    timbre: Timbre
    style: str
    level: float
    centre: int


@dataclass(frozen=True)
class Drummer:
    """A drummer: the kit's name and sound, level in dB, the grooves that he or she knows."""

    instrument: str
    kit: Kit
    level: float
    grooves: tuple[str, ...]


@dataclass(frozen=True)
class Studio:
    """How a recording sounds; `bands` are the (Hz, dB, q) of the tone controls, the rest is as in `genres.Recipe`."""

    room: float
    wet: float
    brightness: float
    bandwidth: float
    hiss: float
    loudness: float
    treble: float
    dynamics: float
    bands: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Artist:
    """A consistent draw of settings; `harmony` holds (mode, progression) pairs, `drummer` may be None."""

    genre: str
    tempo: float
    swing: float
    metres: tuple[int, ...]
    harmony: tuple[tuple[str, str], ...]
    seats: tuple[Seat, ...]
    drummer: Drummer | None
    studio: Studio


@dataclass(frozen=True)
class Song:
    """What an artist plays in one clip; `key` is a pitch class, `tempo` in beats a minute, `metre` in beats a bar."""

    tempo: float
    swing: float
    metre: int
    key: int
    mode: str
    progression: str
    groove: str | None
    seats: tuple[Seat, ...]
    drummer: Drummer | None
    studio: Studio


def draw_artist(genre, rng):
    """An artist of a genre, drawn with a numpy.random.Generator."""
    own = RECIPES[genre]

    def source():
        """The recipe that the next choice is made from."""
        return RECIPES[str(rng.choice(own.neighbours))] if rng.random() < BORROWED else own

    harmony = [(mode, progression) for mode, all_of_it in source().harmony.items() for progression in all_of_it]
    rhythm = source()
    return Artist(
        genre=genre,
        tempo=rng.uniform(*own.tempo),
        swing=rng.uniform(*rhythm.swing),
        metres=own.metres,
        harmony=tuple(_some(harmony, 2, rng)),
        seats=tuple(_draw_seats(own, source, rng)),
        drummer=_draw_drummer(rhythm, rng) if rng.random() < own.drums else None,
        studio=_draw_studio(source(), rng))


def draw_song(artist, rng):
    """A song of an artist, drawn with a numpy.random.Generator."""
    mode, progression = _one(artist.harmony, rng)
    seats = [replace(seat, level=seat.level + SONG_LEVEL * rng.standard_normal()) for seat in artist.seats]
    playing = [seat for seat in seats if rng.random() >= PAUSE] or seats
    drummer = artist.drummer if rng.random() >= PAUSE / 2 else None
    if drummer:
        drummer = replace(drummer, level=drummer.level + SONG_LEVEL * rng.standard_normal())
    bands = tuple((frequency, gain + rng.normal(0, TONE / 2), q) for frequency, gain, q in artist.studio.bands)
    return Song(
        tempo=round(float(np.clip(artist.tempo * np.exp(0.1 * rng.standard_normal()), 50, 220)), 2),
        swing=round(float(artist.swing), 3),
        metre=int(rng.choice(artist.metres)),
        key=int(rng.integers(12)),
        mode=mode,
        progression=progression,
        groove=_one(drummer.grooves, rng) if drummer else None,
        seats=tuple(playing),
        drummer=drummer,
        studio=replace(artist.studio, bands=bands, loudness=artist.studio.loudness * np.exp(rng.normal(0, 0.15))))


def _draw_seats(own, source, rng):
    """A band: the parts of the genre, some of them taken by a player of the same place in a neighbouring genre."""
    for place, part in enumerate(own.parts):
        recipe = source()
        part = recipe.parts[place] if place < len(recipe.parts) else part
        if rng.random() < part.chance:
            name = _one(part.instruments, rng)
            yield Seat(name, personal(INSTRUMENTS[name], rng), _one(part.styles, rng),
                       part.level + BAND_LEVEL * rng.standard_normal(), part.centre)


def _draw_drummer(recipe, rng):
    name = _one(recipe.kits, rng)
    numbers = {field.name: getattr(KITS[name], field.name) * float(np.exp(0.2 * np.clip(rng.standard_normal(), -2, 2)))
               for field in fields(Kit)}
    return Drummer(name, Kit(**numbers), recipe.drum_level + BAND_LEVEL * rng.standard_normal(),
                   tuple(_some(recipe.grooves, 2, rng)))


def _draw_studio(recipe, rng):
    bands = [(frequency * np.exp(rng.normal(0, 0.3)), rng.normal(0, TONE), 0.6) for frequency in (110, 600, 3000)]
    return Studio(room=rng.uniform(*recipe.room), wet=rng.uniform(*recipe.wet), brightness=rng.uniform(2000, 8000),
                  bandwidth=rng.uniform(*recipe.bandwidth), hiss=rng.uniform(*recipe.hiss),
                  loudness=rng.uniform(*recipe.loudness), treble=recipe.treble + rng.normal(0, TONE / 2),
                  dynamics=recipe.dynamics, bands=tuple(bands))


def _one(items, rng):
    """One of `items` (numpy's own choice would turn tuples into arrays)."""
    return items[int(rng.integers(len(items)))]


def _some(items, n, rng):
    """Up to `n` different ones of `items`."""
    return [items[i] for i in rng.permutation(len(items))[:n]]
