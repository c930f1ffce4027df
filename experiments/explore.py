"""A page to explore: Figure 2 as a plane that moves, and test songs with what the network says of them (§4.1).

Sound of the embedded corpus is in the page; other corpora's files are linked to, unless ``--embed`` is given.
"""
from functools import partial

from dbn.cli.explore import N_FRAMES, N_SONGS, say_unplayable
from dbn.explorer.gather import Gatherer, Recording, representations
from dbn.explorer.page import write_page
from dbn.explorer.plane import planes
from dbn.explorer.sound import require_mp3
from dbn.system.blas import one_blas_thread
from dbn.system.progress import progress_bar
from experiments.steps.features import mfcc_features, mfcc_settings
from experiments.steps.options import parse, run_script
from experiments.steps.pipeline import prepared_runs
from experiments.steps.reporting import corpus_name

OWN_OPTIONS = {"--embed": {"action": "store_true", "help": "take the sound into the page, of any corpus"}}


def main(argv=None):
    """Gather the test songs of the first seed's network, and write the page."""
    options = parse(__doc__.splitlines()[0], argv, OWN_OPTIONS)
    options.repeats = 1  # one network is shown
    is_embedded = options.embed or options.dataset == "synthetic"
    if is_embedded:
        require_mp3()
    print(f"Explore: {options.dataset}, profile {options.profile_name}; results go to {options.out}", flush=True)
    corpora, [run] = prepared_runs(options)
    tracks = {track.name: track for track in corpora.corpus.tracks}
    recordings = [Recording(name, tracks[name].path, tracks[name].label) for name in run.songs("test").names]
    mfccs = partial(mfcc_features, settings=mfcc_settings(run.profile))
    gatherer = Gatherer(run.model, recordings, N_FRAMES, N_SONGS, run.seed, None if is_embedded else options.out, mfccs)
    with one_blas_thread:
        for number in progress_bar("songs", gatherer.order(), unit=" songs"):
            gatherer.add(number)
    exploration = gatherer.exploration()
    found = planes(representations(run.model, exploration), run.seed, options.jobs)
    path = options.out / "explore.html"
    write_page(path, run.model, exploration, found,
               f"{corpus_name(options.dataset)}, profile {options.profile_name}: test songs of seed {run.seed}")
    if not is_embedded:
        say_unplayable(exploration)
    print(f"written: {path}")


if __name__ == "__main__":
    run_script(main)
