"""``dbn explore``: a page of what a model makes of recordings, see :mod:`dbn.explorer`."""
import os
import sys
from pathlib import Path

from dbn.cli.inputs import open_classifier, open_inputs
from dbn.cli.options import check_bounds, checked_jobs
from dbn.cli.recordings import check_output, for_each, require_folder
from dbn.datasets.folder import printable
from dbn.errors import DBNError
from dbn.system.files import disk_errors

N_FRAMES, N_SONGS = 1000, 12  # points, and songs in the player

# more points are slow to draw, more songs make a page that is slow to open
BOUNDS = {"frames": (5, 5000), "songs": (0, 100), "seed": (0, 2**32 - 1)}


def run_explore(options):
    """``dbn explore``: frames of all recordings by t-SNE (Figure 2) and some of the songs in a player, on one page."""
    # with SciPy's signals, half a second to import, for which other commands need not wait
    from dbn.explorer.gather import Gatherer, Recording, name_below, representations
    from dbn.explorer.page import write_page
    from dbn.explorer.plane import planes

    _check(options)
    model = open_classifier(options.model)
    with open_inputs(options.files) as (inputs, problems):
        check_output(options.output, options, inputs)
        folders = [file for file in options.files if os.path.isdir(file)]
        recordings = [Recording(name, source.path, genre) for source in inputs
                      for name, genre in [name_below(source.path, folders)]]
        gatherer = Gatherer(model, recordings, options.frames, options.songs, options.seed,
                            None if options.embed else Path(options.output).parent)
        order = gatherer.order()
        turn = iter(order)
        status = for_each([inputs[number] for number in order], problems, lambda *_: gatherer.add(next(turn)),
                          "explore")
    exploration = gatherer.exploration()
    found = planes(representations(model, exploration), options.seed, checked_jobs(-1))
    with disk_errors(options.output):
        write_page(options.output, model, exploration, found, f"Explore {Path(options.model).name}")
    if not options.embed:
        say_unplayable(exploration)
    print(printable(options.output))
    return status


def say_unplayable(exploration):
    """Say on standard error which linked files no browser plays."""
    from dbn.explorer.sound import PLAYABLE
    suffixes = {song.recording.path.suffix.lower() for song in exploration.songs} - PLAYABLE
    if suffixes:
        print(f"dbn: note: browsers may not play {', '.join(map(printable, sorted(suffixes)))} files, to which the "
              "page links; --embed takes their sound into it", file=sys.stderr)


def _check(options):
    check_bounds(options, BOUNDS)
    if "-" in options.files:
        raise DBNError('"-": a page names its recordings and links to them; write standard input to a file first')
    if not options.output.lower().endswith((".html", ".htm")):
        raise DBNError(f"{options.output}: the name of a page ends in .html")
    require_folder(options.output)
    if options.embed:
        from dbn.explorer.sound import require_mp3
        require_mp3()
