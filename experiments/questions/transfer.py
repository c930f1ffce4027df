"""What is learnt on another corpus, used on this one: its networks, and the settings that won its search (§5.3, §6).

Songs of the other corpus that are test songs here, by their names or by their bytes, teach nothing; where a split is by
artist, nor do other songs of those artists. A search whose songs are test songs here, by their names, is refused.
"""
from dataclasses import replace

from dbn.datasets.splits import split_by_artist, split_by_class, write_split
from dbn.errors import DBNError
from experiments.questions import answer
from experiments.steps.known_songs import known_songs, same_names
from experiments.steps.options import path_of, run_script
from experiments.steps.pipeline import Corpora, Run, prepared_systems
from experiments.steps.question import Variant, replace_options
from experiments.steps.winner import winner_elsewhere

QUESTION = "Do features, and the best settings, carry over to other music? (§5.3, §6)"

OWN_OPTIONS = {
    "--other-dataset": {"choices": ("synthetic", "gtzan", "folder"), "default": "synthetic",
                        "help": "the other corpus; beside the synthetic one it is one of other songs"},
    "--other-root": {"type": path_of, "help": "the other corpus's folder (gtzan, folder)"},
    "--other-results": {"type": path_of, "help": "results of a search on another corpus, whose winner is tried here"},
}


def VARIANTS(options):
    """What needs no labels, or no song, of this corpus; the other corpus's networks are trained here."""
    winners = [] if options.other_results is None else [searched_elsewhere(options)]
    drawn = "weights as they are drawn"
    return [Variant(drawn, {}, {"pretrain_epochs": 0, "finetune_epochs": 0}),
            Variant("pre-trained and no more", {}, {"finetune_epochs": 0}, against=drawn),
            Variant(f"networks of {_name(options.other_dataset, options.other_root)}",
                    networks=other_networks(options)), *winners]


def searched_elsewhere(options):
    """The settings that won another corpus's search, as a row; a DBNError if songs that are test songs here chose them.
    """
    training, searched, songs = winner_elsewhere(options.other_results)
    own = Corpora(options)
    tested = {name for seed in _seeds(options) for name in Run(own, seed).split.test}
    both = [name for name, same in same_names([track.name for track in own.corpus.tracks], songs).items()
            if same & tested]
    is_other_music = searched != options.dataset and "synthetic" in (searched, options.dataset)
    if both and not is_other_music:
        raise DBNError(f"--other-results {options.other_results}: that search chose by songs that are test songs here, "
                       f"such as {min(both)}; give a search on other music")
    scaling = training.pop("scaling")
    return Variant(f"settings of the search on {searched}", {"scaling": scaling}, training)


def other_networks(options):
    """Train a network on the other corpus for every seed; their folders, a list of str."""
    if (options.other_dataset == "synthetic") != (options.other_root is None):
        raise DBNError("--other-root is for --other-dataset gtzan and folder, which need it")
    if options.other_root is not None and not options.other_root.is_dir():
        raise DBNError(f"--other-root {options.other_root}: there is no such folder")
    is_twin = options.dataset == options.other_dataset == "synthetic"
    profile = replace(options.profile, corpus_seed=options.profile.corpus_seed + 1) if is_twin else options.profile
    other = replace_options(options, dataset=options.other_dataset, root=options.other_root, winner=None,
                            profile=profile, out=options.out / "other")
    own, tracks = Corpora(options), Corpora(other).corpus.tracks
    is_music = other.dataset != "synthetic"
    known = known_songs(own.corpus, tracks, other.out / "frames") if is_music else {}
    by_artist, systems = profile.split == "artist", []
    for seed in _seeds(options):
        tested = set(Run(own, seed).split.test if is_music else ())
        artists = {track.artist for track in own.corpus.tracks if track.name in tested and by_artist} - {""}
        left = [track for track in tracks
                if not tested & known.get(track.name, set()) and track.artist not in artists]
        path = other.out / f"split-{seed}.csv"
        write_split((split_by_artist if by_artist else split_by_class)(left, seed), path)
        systems.append(replace_options(other, seed=seed, repeats=1, profile=replace(profile, split=str(path))))
    return [str(run.network_folder) for _, [run] in prepared_systems(systems)]


def _seeds(options):
    return range(options.seed, options.seed + options.repeats)


def _name(dataset, root):
    return dataset if root is None else f"{dataset} in {root.parent.name if root.name == 'genres' else root.name}"


def main(argv=None):
    """Train and test all systems, write and print the table."""
    answer(__doc__, argv, "transfer", QUESTION, VARIANTS, OWN_OPTIONS)


if __name__ == "__main__":
    run_script(main)
