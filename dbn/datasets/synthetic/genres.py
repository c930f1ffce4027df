"""Ten recipes, in the manner of GTZAN's genres.

A recipe says what the artists of a genre choose from; `artists.py` makes their
choices. Genres share grooves, lines and instruments, as real ones do, and an
artist may borrow from the genres that its own names as neighbours.
"""
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A place in the band: who may fill it and what they may play.

    Attributes
    ----------
    instruments, styles : tuple of str
        Names in `instruments.INSTRUMENTS`; names known to `composition.compose`.
    level : float
        Loudness in dB beside the other parts.
    centre : int
        Pitch around which it is played.
    chance : float
        Share of the artists that have it.
    """

    instruments: tuple[str, ...]
    styles: tuple[str, ...]
    level: float
    centre: int
    chance: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """What the artists of a genre choose from; pairs are the ends of a range.

    Attributes
    ----------
    tempo : (float, float)
        Beats a minute.
    swing : (float, float)
        Where in its beat an off-beat eighth falls: 0.5 straight, 0.67 triplets.
    harmony : dict
        Mode to progressions (`theory`).
    parts : tuple of Part
    grooves, kits : tuple of str
        Names in `drums.GROOVES` and `drums.KITS`.
    drums : float
        Share of the artists that have drums.
    drum_level : float
        dB beside the other parts.
    room : (float, float)
        Reverberation time in seconds.
    wet : (float, float)
        Level of the room's sound beside the direct one.
    bandwidth : (float, float)
        Hz that the recording reaches (from 11,025 on: all that the file can hold).
    hiss : (float, float)
        dB of its background noise below full scale.
    loudness : (float, float)
        Root mean square of the clip, of full scale.
    neighbours : tuple of str
        Genres that its artists borrow from.
    treble : float
        dB of the tone control for what is above 2.5 kHz.
    dynamics : float
        Standard deviation of the loudness within a clip, in dB.
    metres : tuple of int
        Beats in a bar; listed twice is twice as likely.
    """

    tempo: tuple[float, float]
    swing: tuple[float, float]
    harmony: dict
    parts: tuple[Part, ...]
    grooves: tuple[str, ...]
    kits: tuple[str, ...]
    drums: float
    drum_level: float
    room: tuple[float, float]
    wet: tuple[float, float]
    bandwidth: tuple[float, float]
    hiss: tuple[float, float]
    loudness: tuple[float, float]
    neighbours: tuple[str, ...]
    treble: float = 0.0
    dynamics: float = 1.0
    metres: tuple[int, ...] = (4,)


TWELVE_BARS = "I7 I7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7"
QUICK_CHANGE = "I7 IV7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7"

RECIPES = {
    "blues": Recipe(
        tempo=(62, 130), swing=(0.58, 0.68),
        harmony={"blues": (TWELVE_BARS, QUICK_CHANGE, "I7 I7 IV7 I7 V7 IV7 I7 I7"),
                 "minor pentatonic": ("Im7 Im7 Im7 Im7 IVm7 IVm7 Im7 Im7 bVI7 V7 Im7 V7",)},
        parts=(Part(("electric bass", "upright bass"), ("walking", "boogie bass", "root and fifth"), -3, 38, 0.75),
               Part(("clean guitar", "acoustic guitar", "piano", "overdriven guitar"),
                    ("shuffle chords", "boom-chick", "comping", "backbeat"), -4, 55),
               Part(("overdriven guitar", "slide guitar", "harmonica", "clean guitar"),
                    ("fills", "solo"), -2, 69, 0.8),
               Part(("organ", "piano"), ("held", "comping"), -10, 62, 0.35),
               Part(("male voice", "male voice", "female voice"), ("song",), 0, 57, 0.7)),
        grooves=("shuffle", "slow blues", "two-beat"), kits=("drum kit", "soft drum kit"), drums=0.75, drum_level=-4,
        room=(0.3, 1.2), wet=(0.1, 0.35), bandwidth=(3500, 9000), hiss=(-58, -42), loudness=(0.09, 0.19),
        neighbours=("rock", "jazz", "country"), treble=2.0, dynamics=1.5),
    "classical": Recipe(
        tempo=(56, 132), swing=(0.5, 0.5),
        harmony={"major": ("I IV V7 I", "I VIm IIm V7 I IV I,V7 I", "I V VIm IIIm IV I IV V"),
                 "harmonic minor": ("Im IVm V7 Im", "Im bVI IVm V7 Im bVI IIm7b5,V7 Im",
                                    "Im V7 Im bVII bIII bVI V7 Im")},
        parts=(Part(("strings", "piano", "harpsichord", "acoustic guitar"),
                    ("Alberti", "arpeggio", "held", "slow arpeggio"), -5, 55),
               Part(("cello", "strings", "piano"), ("half notes", "slow line", "roots"), -3, 43, 0.95),
               Part(("violin", "flute", "piano", "clarinet", "female voice"),
                    ("tune", "running tune", "slow line"), 0, 74),
               Part(("strings", "french horn", "clarinet", "choir"), ("twice held", "slow line", "held"), -6, 62, 0.5)),
        grooves=("timpani",), kits=("timpani",), drums=0.15, drum_level=-8,
        room=(1.0, 2.4), wet=(0.3, 0.8), bandwidth=(4500, 10000), hiss=(-66, -50), loudness=(0.025, 0.08),
        neighbours=("jazz",), treble=1.0, dynamics=4.0, metres=(4, 4, 3)),
    "country": Recipe(
        tempo=(78, 136), swing=(0.5, 0.6),
        harmony={"major": ("I I IV I I I V V", "I IV I V", "I V I I IV IV V I"),
                 "major pentatonic": ("I I IV I V V I I", "I IV V I")},
        parts=(Part(("electric bass", "upright bass"), ("root and fifth", "half notes"), 1, 38),
               Part(("acoustic guitar",), ("boom-chick", "strum", "picking"), -1, 55),
               Part(("strings", "organ", "accordion"), ("held", "twice held"), -9, 62, 0.5),
               Part(("banjo", "clean guitar", "acoustic guitar"), ("banjo roll", "picking", "backbeat"), -8, 62, 0.5),
               Part(("slide guitar", "violin", "piano", "harmonica"), ("fills", "song"), -4, 70, 0.8),
               Part(("male voice", "female voice"), ("song",), 0, 60, 0.9)),
        grooves=("train", "two-beat", "ballad", "rock beat"), kits=("soft drum kit", "drum kit"),
        drums=0.8, drum_level=-6,
        room=(0.3, 1.0), wet=(0.08, 0.3), bandwidth=(7000, 13500), hiss=(-66, -50), loudness=(0.13, 0.25),
        neighbours=("rock", "pop", "blues"), treble=8.0, dynamics=1.0, metres=(4, 4, 4, 3)),
    "disco": Recipe(
        tempo=(108, 132), swing=(0.5, 0.53),
        harmony={"minor": ("Im7 IVm7 bVII bIII", "Im7 bVII bVImaj7 Vm7", "Im7 Im7 IVm7 IVm7"),
                 "major": ("Imaj7 VIm7 IIm7 V7", "IVmaj7 IIIm7 VIm7 V7"),
                 "dorian": ("Im7 IV7 Im7 IV7",)},
        parts=(Part(("electric bass", "slapped bass", "synth bass"), ("octaves", "syncopated bass"), -2, 38),
               Part(("muted guitar", "clean guitar"), ("chicken scratch", "stabs"), -8, 62, 0.85),
               Part(("electric piano", "piano", "synth pad"), ("stabs", "comping", "held"), -7, 60, 0.6),
               Part(("strings",), ("held", "slow line", "hook"), -5, 72, 0.75),
               Part(("horn section", "synth lead"), ("stabs", "hook"), -5, 67, 0.5),
               Part(("female voice", "female voice", "male voice"), ("song", "hook"), -1, 66, 0.85)),
        grooves=("four on the floor", "disco sixteenths"), kits=("drum kit", "drum machine"), drums=1.0, drum_level=-2,
        room=(0.3, 1.0), wet=(0.08, 0.3), bandwidth=(7000, 13500), hiss=(-66, -48), loudness=(0.12, 0.22),
        neighbours=("pop", "hiphop", "reggae"), treble=9.0, dynamics=1.0),
    "hiphop": Recipe(
        tempo=(80, 108), swing=(0.5, 0.58),
        harmony={"minor": ("Im7", "Im7 IVm7", "Im bVI Im V7", "Im Im bVII bVI"),
                 "dorian": ("Im9", "Im7 Im7 IVm9 Im7")},
        parts=(Part(("sub bass", "electric bass", "synth bass"), ("hop bass", "roots", "syncopated bass"), 1, 34),
               Part(("electric piano", "piano", "strings", "muted guitar", "synth pad"),
                    ("stabs", "held", "slow arpeggio", "comping"), -7, 60, 0.85),
               Part(("synth bells", "flute", "horn section", "synth lead"), ("hook", "fills"), -9, 72, 0.5),
               Part(("rapping voice",), ("rap",), 0, 50, 0.9),
               Part(("female voice",), ("hook",), -5, 66, 0.25)),
        grooves=("boom bap", "lazy hop", "electro"), kits=("drum machine", "drum machine", "drum kit"),
        drums=1.0, drum_level=0,
        room=(0.2, 0.7), wet=(0.03, 0.2), bandwidth=(6000, 13000), hiss=(-62, -42), loudness=(0.14, 0.3),
        neighbours=("pop", "reggae", "disco"), treble=8.0, dynamics=1.0),
    "jazz": Recipe(
        tempo=(72, 210), swing=(0.58, 0.68),
        harmony={"major": ("I6 VIm7 IIm7 V9", "IIm7 V7 Imaj7 Imaj7", "Imaj7 VI7 IIm7 V7 IIIm7 VI7 IIm7 V7"),
                 "dorian": ("Im7 Im7 Im7 Im7 bIIm7 bIIm7 Im7 Im7", "IIm7b5 V7 Im7 Im7"),
                 "mixolydian": ("I7 IV7 I7 I7 IV7 #IVo7 I7 VI7 IIm7 V7 I7,VI7 IIm7,V7",)},
        parts=(Part(("upright bass",), ("walking", "half notes"), -3, 38, 0.9),
               Part(("piano", "clean guitar", "vibraphone", "electric piano"),
                    ("Charleston", "comping", "quarters"), -6, 60),
               Part(("saxophone", "trumpet", "piano", "clarinet", "vibraphone"),
                    ("solo", "fast solo", "song"), 0, 67, 0.9),
               Part(("horn section", "saxophone"), ("stabs", "slow line"), -7, 62, 0.3),
               Part(("female voice", "male voice"), ("song",), 0, 62, 0.2)),
        grooves=("swing ride", "brushes", "bossa"), kits=("soft drum kit", "drum kit"), drums=0.8, drum_level=-9,
        room=(0.4, 1.6), wet=(0.1, 0.4), bandwidth=(3500, 9500), hiss=(-60, -42), loudness=(0.05, 0.14),
        neighbours=("blues", "classical"), treble=1.0, dynamics=3.0, metres=(4, 4, 4, 4, 3)),
    "metal": Recipe(
        tempo=(92, 190), swing=(0.5, 0.5),
        harmony={"phrygian": ("I5 I5 bII5 I5", "I5 bIII5 bII5 I5", "I5"),
                 "minor": ("I5 bVI5 bVII5 I5", "I5 bVII5 bVI5 V5", "I5 I5 bVI5 bVII5")},
        parts=(Part(("electric bass",), ("eighths", "roots"), -1, 33),
               Part(("distorted guitar",), ("riff", "gallop riff", "power eighths", "riff"), 0, 43),
               Part(("lead guitar", "distorted guitar"), ("fast solo", "solo", "hook"), -3, 72, 0.5),
               Part(("male voice", "male voice", "rapping voice"), ("song", "hook"), -1, 61, 0.7)),
        grooves=("double kick", "gallop", "half-time", "thrash", "rock drive"), kits=("hard drum kit",),
        drums=1.0, drum_level=-1,
        room=(0.3, 1.0), wet=(0.05, 0.25), bandwidth=(6500, 13000), hiss=(-60, -48), loudness=(0.08, 0.24),
        neighbours=("rock",), treble=6.0, dynamics=1.0),
    "pop": Recipe(
        tempo=(84, 130), swing=(0.5, 0.54),
        harmony={"major": ("I V VIm IV", "VIm IV I V", "I VIm IV V", "IV V IIIm VIm"),
                 "minor": ("Im bVI bIII bVII", "Im IVm bVI V")},
        parts=(Part(("electric bass", "synth bass", "sub bass"), ("pop bass", "eighths", "syncopated bass"), -2, 38),
               Part(("synth pad", "piano", "electric piano"), ("held", "quarters", "arpeggio"), -6, 60),
               Part(("acoustic guitar", "clean guitar", "muted guitar"),
                    ("strum", "picking", "chicken scratch"), -8, 60, 0.6),
               Part(("synth lead", "synth bells", "strings"), ("hook", "sixteenths", "slow line"), -7, 74, 0.6),
               Part(("female voice", "female voice", "male voice"), ("song", "hook"), 0, 65)),
        grooves=("dance pop", "pop beat", "boom bap", "ballad"), kits=("drum machine", "drum machine", "drum kit"),
        drums=0.95, drum_level=-2,
        room=(0.3, 1.2), wet=(0.08, 0.35), bandwidth=(8500, 14000), hiss=(-72, -58), loudness=(0.12, 0.25),
        neighbours=("disco", "rock", "hiphop"), treble=9.0, dynamics=1.0),
    "reggae": Recipe(
        tempo=(66, 98), swing=(0.5, 0.6),
        harmony={"major": ("I IV", "I V VIm IV", "I IIm", "I I IV V"),
                 "minor": ("Im IVm", "Im bVII", "Im Im IVm V")},
        parts=(Part(("electric bass", "sub bass"), ("reggae bass", "hop bass"), 0, 35),
               Part(("clean guitar", "muted guitar"), ("double skank", "skank"), -6, 62),
               Part(("organ", "piano", "electric piano"), ("bubble", "double skank"), -8, 60, 0.85),
               Part(("horn section", "harmonica", "lead guitar"), ("fills", "hook"), -6, 67, 0.4),
               Part(("male voice", "male voice", "rapping voice"), ("song", "hook"), 0, 58, 0.9)),
        grooves=("one drop", "steppers", "rockers"), kits=("drum kit", "soft drum kit", "drum machine"),
        drums=1.0, drum_level=-3,
        room=(0.4, 1.8), wet=(0.08, 0.4), bandwidth=(4500, 9500), hiss=(-62, -46), loudness=(0.09, 0.2),
        neighbours=("hiphop", "pop", "rock"), treble=2.0, dynamics=1.5),
    "rock": Recipe(
        tempo=(88, 156), swing=(0.5, 0.54),
        harmony={"mixolydian": ("I bVII IV I", "I IV I V", "I I bVII IV"),
                 "minor pentatonic": ("I5 bIII5 IV5 I5", "Im bVII bVI bVII"),
                 "major": ("I V VIm IV", "I IV Vsus4 V")},
        parts=(Part(("electric bass",), ("eighths", "pop bass", "root and fifth"), 0, 36),
               Part(("overdriven guitar", "overdriven guitar", "distorted guitar", "clean guitar"),
                    ("power eighths", "strum", "twice held", "riff"), -2, 52),
               Part(("clean guitar", "acoustic guitar", "organ", "piano"),
                    ("arpeggio", "strum", "held", "quarters"), -7, 62, 0.55),
               Part(("lead guitar", "overdriven guitar"), ("solo", "fills", "hook"), -3, 70, 0.5),
               Part(("male voice", "male voice", "female voice"), ("song",), -1, 61, 0.85)),
        grooves=("rock beat", "rock drive", "half-time", "pop beat"), kits=("drum kit", "hard drum kit"),
        drums=0.95, drum_level=-2,
        room=(0.3, 1.4), wet=(0.08, 0.35), bandwidth=(5000, 10500), hiss=(-64, -48), loudness=(0.11, 0.22),
        neighbours=("metal", "blues", "pop", "country"), treble=1.0, dynamics=1.5),
}

GENRES = tuple(RECIPES)
