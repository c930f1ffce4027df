"""What is true of a clip, in words: the sidecar, and the tags that a listener might give."""
from dbn.datasets.synthetic.instruments import SAMPLE_RATE
from dbn.datasets.synthetic.theory import PITCH_NAMES

# Instruments that need a socket (beside synthesisers and distorted guitars).
AMPLIFIED = {"drum machine", "electric bass", "slapped bass", "synth bass", "sub bass", "electric piano",
             "clean guitar", "muted guitar", "slide guitar", "organ"}
FOUR_ON_THE_FLOOR = ("four on the floor", "disco sixteenths", "dance pop", "steppers")
MINOR_MODES = ("minor", "dorian", "phrygian", "harmonic minor", "minor pentatonic")

# Tag -> whether it holds for a truth. (The genre, and each of `instruments`, can serve as a tag beside these.)
TAGS = {
    "drums": lambda truth: "drums" in truth["families"],
    "drum machine": lambda truth: "drum machine" in truth["instruments"],
    "bass": lambda truth: "bass" in truth["families"],
    "guitar": lambda truth: "guitar" in truth["families"],
    "acoustic guitar": lambda truth: "acoustic guitar" in truth["instruments"],
    "distortion": lambda truth: truth["distorted"],
    "solo": lambda truth: any("solo" in style for style in truth["styles"]),
    "piano": lambda truth: "piano" in truth["instruments"],
    "keyboard": lambda truth: "keys" in truth["families"],
    "organ": lambda truth: "organ" in truth["instruments"],
    "strings": lambda truth: "strings" in truth["families"],
    "saxophone": lambda truth: "saxophone" in truth["instruments"],
    "horns": lambda truth: "brass" in truth["families"],
    "synth": lambda truth: any(name.startswith("synth") for name in truth["instruments"]),
    "vocal": lambda truth: "voice" in truth["families"],
    "male": lambda truth: {"male voice", "rapping voice"} & set(truth["instruments"]) != set(),
    "female": lambda truth: "female voice" in truth["instruments"],
    "rap": lambda truth: "rap" in truth["styles"],
    "instrumental": lambda truth: "voice" not in truth["families"],
    "acoustic": lambda truth: not truth["amplified"],
    "electronic": lambda truth: "drum machine" in truth["instruments"] and "synth" in truth["families"],
    "dance": lambda truth: truth["four_on_the_floor"],
    "beat": lambda truth: "drums" in truth["families"] and "bass" in truth["families"],
    "slow": lambda truth: truth["tempo_class"] == "slow",
    "fast": lambda truth: truth["tempo_class"] == "fast",
    "swing": lambda truth: truth["swing"] > 0.57,
    "waltz": lambda truth: truth["metre"] == "3/4",
    "minor": lambda truth: truth["mode"] in MINOR_MODES,
    "loud": lambda truth: truth["loudness"] > 0.18,
    "quiet": lambda truth: truth["loudness"] < 0.09,
    "reverb": lambda truth: truth["reverberant"],
    "lo-fi": lambda truth: truth["lo_fi"],
}


def describe(genre, song, sounding):
    """What there is to know about a clip.

    Parameters
    ----------
    genre : str
    song : artists.Song
    sounding : list of (str, str)
        The (instrument, family) pairs that are heard.

    Returns
    -------
    truth : dict
        Plain values, ready for JSON: `genre`; `tempo` (beats a minute), `tempo_class` ("slow" below 90, "fast" above
        125, else "medium"); `metre` ("4/4"); `swing` (where off-beats fall, 0.5 is straight); `key`, `mode`,
        `progression`; `instruments`, `families`, `styles`, sorted; `groove` (or null); the flags `distorted`,
        `amplified`, `four_on_the_floor`, `reverberant`, `lo_fi`; `loudness` (the aim for the root mean square);
        `bandwidth` in Hz; `tags`, those of `TAGS` that hold, sorted.
    """
    names = {instrument for instrument, _ in sounding}
    families = {family for _, family in sounding}
    seats = [seat for seat in song.seats if seat.instrument in names]
    studio = song.studio
    distorted = any(seat.timbre.family == "guitar" and seat.timbre.drive > 3 for seat in seats)
    truth = {
        "genre": genre,
        "tempo": song.tempo,
        "tempo_class": "slow" if song.tempo < 90 else "fast" if song.tempo > 125 else "medium",
        "metre": f"{song.metre}/4",
        "swing": song.swing,
        "key": PITCH_NAMES[song.key],
        "mode": song.mode,
        "progression": song.progression,
        "instruments": sorted(names),
        "families": sorted(families),
        "styles": sorted({seat.style for seat in seats}),
        "groove": song.groove,
        "distorted": distorted,
        "amplified": distorted or "synth" in families or not names.isdisjoint(AMPLIFIED),
        "four_on_the_floor": song.groove in FOUR_ON_THE_FLOOR,
        "reverberant": studio.room * studio.wet > 0.35,
        "lo_fi": studio.bandwidth < 5500 or studio.hiss > -48,
        "loudness": round(studio.loudness, 4),
        "bandwidth": round(min(studio.bandwidth, SAMPLE_RATE / 2), 1),
    }
    truth["tags"] = sorted(tag for tag, holds in TAGS.items() if holds(truth))
    return truth
