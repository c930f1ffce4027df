"""What the report says in words: every table and figure, names of columns and steps, differences from the paper."""
from collections import defaultdict
from dataclasses import dataclass

from experiments.paper import MAJORMINER_AUTHORS
from experiments.steps.reporting import value_text


@dataclass(frozen=True)
class Result:
    """What a script writes, and how the page shows it.

    Attributes
    ----------
    name : str
        Of the script and of its ``<name>.json``.
    title : str
        Its part before a colon is the short name.
    section : str
        Of the paper.
    about : str
        What a reader sees.
    pictures : tuple of (str, str)
        File and what it shows, the latter also for readers who cannot see it.
    datasets : tuple of str
        That its script takes.
    """

    name: str
    title: str
    section: str
    about: str
    pictures: tuple = ()
    datasets: tuple = ("synthetic", "gtzan", "folder")

    @property
    def label(self):
        return self.title.split(":")[0]


_CONFUSION = "Confusion matrix of {}: true classes in the rows, the classes given to their test songs in the columns."

_TAGGED = ("synthetic", "majorminer")

# in the paper's order; a script that does not exist yet is left out of the page
RESULTS = (
    Result("figure1", "Figure 1: the network", "§3", "The stack of restricted Boltzmann machines, in its real sizes.",
           (("figure1.png", "The deep belief network as a stack of RBMs, each layer with its number of units."),)),
    Result("sweep", "Search: hyper-parameters", "§4.1",
           "Points drawn at random, ranked by the validation error of single frames; test songs were not looked at. "
           "Shown are the best ten and the profile's own setting, which is the paper's unless an option changes it.",
           (("sweep-marginals.png", "Validation frame error of every point against each hyper-parameter, with the "
             "median of each category and the profile's own setting; crosses on top are points without an error."),
            ("sweep-learning.png", "Validation frame error against the epoch of fine-tuning: the ten best points in "
             "colour, the profile's own setting dashed in black, all others grey."))),
    Result("table1", "Table 1: the network's training", "§4.1",
           "Hyper-parameters, training statistics and the accuracy of the network alone: the mean of its frame "
           "predictions names the song.",
           (("table1-learning.png", "Learning curves: cost of each layer in pre-training; cost and "
             "validation frame error in fine-tuning, with the epoch whose parameters were kept."),
            ("table1-confusion.png", _CONFUSION.format("the network alone")))),
    Result("figure2", "Figure 2: the features in the plane", "§4.1",
           "t-SNE projections of the inputs, the MFCCs and the activations. The paper says that the hidden layers "
           "cluster more definitely; the numbers measure it: the share of a frame's nearest neighbours "
           "that are of its class.",
           (("figure2.png", "Frames of test songs projected to two dimensions by t-SNE, one panel for each kind of "
             "features, one colour for each class."),)),
    Result("table2", "Table 2: single frames", "§5.1.1",
           "An SVM on single frames of each kind of features; a song takes the vote of its frames.",
           (("table2-confusion.png", _CONFUSION.format("the best row of Table 2")),)),
    Result("table3", "Table 3: windows of 5 s", "§5.1.2",
           "An SVM on mean and variance of the features over windows; a song takes the vote of its windows.",
           (("table3-confusion.png", _CONFUSION.format("the best row of Table 3")),)),
    Result("figure3", "Figure 3: accuracy of each tag", "§5.2",
           "Autotagging with the DBN's and with the MIM features: an SVM for every tag.",
           (("figure3.png", "Accuracy of each tag with DBN and MIM features, the tag that the DBN knows best on top; "
             "chance at 0.5, error bars over the folds."),), _TAGGED),
    Result("table4", "Table 4: autotagging", "§5.2",
           "Mean accuracy over the tags and its standard error. The interval of the difference from MIM comes from a "
           "bootstrap over artists, on the same clips. p is Wilcoxon's signed-rank test over the tags, which share "
           "clips; the test does not know that. Holm is p corrected for the number of rows that are tested. The "
           "network learnt nothing from tags. MajorMiner's authors reported "
           f"{MAJORMINER_AUTHORS:.1%} on 25 tags of their own choice.", (), _TAGGED),
)

_AGAINST_COST = "Song accuracy of each system under Table 3's SVM and of the network alone, with its interval and cost."

# shown where they were asked; the names are those of experiments/questions/
QUESTIONS = tuple(
    Result(name, f"Question, {title}", section,
           "The paper's system in the first row, then variants of it: each row's difference from it, or from the row "
           "that is named, on the same songs, p corrected by Holm for the number of rows, and what one training takes.",
           ((f"{name}.png", _AGAINST_COST),))
    for name, title, section in (
        ("pca", "principal components: instead of all bins of the DFT?", "§5.3"),
        ("pooling", "pooling: the DFTs over small windows?", "§5.3"),
        ("subsets", "subsets: a random part of the frames?", "§5.3"),
        ("context", "context: longer stretches of time, several scales at once?", "§5.3, §6"),
        ("minibatch", "minibatches: larger ones?", "§5.3"),
        ("pretraining", "pre-training: does it help, and do unlabelled songs?", "§3, §6"),
        ("later", "later ideas: what would they have brought?", "after the paper"),
        ("recipes", "recipes: which should a folder of one's own get?", "after the paper"),
        ("transfer", "transfer: do features and settings carry over to other music?", "§5.3, §6")))

DATASETS = {"synthetic": "the embedded synthetic corpus: ten genres rendered from seeds, no music",
            "gtzan": "GTZAN (Tzanetakis), the paper's data set",
            "folder": "a folder with one sub-folder a class; not the paper's data set",
            "majorminer": "MajorMiner's tags, the paper's data set of §5.2"}

SPLITS = {"class": "50/20/30 % of each class, drawn with the seed",
          "artist": "50/20/30 % of the songs, no artist in two parts, drawn with the seed",
          "sturm": "Sturm's, filtered of repeated artists, copies and damaged clips"}

COLUMNS = {"n_test": "decisions", "n_songs": "songs", "against": "compared with", "p_vs_mfcc": "p against MFCCs",
           "p_vs_mfcc_holm": "Holm",
           "p_resampled_t": "resampled t", "minus": "difference", "p_holm": "Holm",
           "network_accuracy": "the network alone", "network_minus": "its difference", "network_p": "its p",
           "network_p_holm": "its Holm",
           "network_p_resampled_t": "its resampled t", "valid_error": "validation frame error",
           "valid_accuracy": "validation songs",
           "gap": "free-energy gap of the first layer, nats",
           "epoch_seconds": "seconds an epoch", "best_seconds": "seconds until the best epoch",
           "training_bytes": "bytes of the training frames", "peak_bytes": "most bytes in memory",
           "gamma": "γ", "accuracies": "of each seed",
           "neighbour_share_space": "neighbours, original space", "neighbour_share_plane": "neighbours, plane",
           "other_songs_share_space": "in other songs, original space",
           "other_songs_share_plane": "in other songs, plane",
           "standard_error": "standard error", "paper_standard_error": "paper's standard error", "n_tags": "tags",
           "DBN": "DBN, its standard error", "MIM": "MIM, its standard error", "kind": "",
           "difference_vs_mim": "minus MIM", "difference_ci95": "its 95 % interval",
           "wilcoxon_p_vs_mim": "p against MIM", "wilcoxon_p_vs_mim_holm": "Holm", "note": "",
           "tags": "Accuracy of each tag",
           "recall": "Share of each class's songs that were labelled right (recall)"}
# what a reader of a question looks for, so that it is seen without scrolling; the interval stands behind its number
FIRST = ("against", "minus", "p_holm", "best_seconds", "network_accuracy", "network_minus", "network_p_holm")
INTERVALS = {"minus": "minus_ci95", "network_accuracy": "network_ci95", "network_minus": "network_minus_ci95"}
SHARES = {"accuracies", "neighbour_share_space", "neighbour_share_plane", "other_songs_share_space",
          "other_songs_share_plane", "standard_error", "paper_standard_error", "difference_vs_mim", "difference_ci95",
          "DBN", "MIM", "valid_error"}
IN_WORDS = {"ci95_method", "p_vs_mfcc_method", "difference_ci95_method"}  # a sentence at the table says it
RANGES = {"C", "gamma"}  # one value a seed
SHARED_STEPS = {"corpus", "frames", "mfcc", "scaling", "pretrain", "finetune"}
STEPS = {"corpus": "making the corpus", "frames": "DFTs of all frames",
         "mfcc": "MFCCs of all frames",
         "scaling": "fitting the scaling", "pretrain": "pre-training", "finetune": "fine-tuning",
         "figure2": "t-SNE and neighbours", "features": "features of the examples", "test": "test songs",
         "tagged": "making the tagged clips", "tag_features": "features of the tagged clips",
         "tag_svms": "SVMs of the tags"}


def _chosen(result):
    winner = result.get("winner_of_search")
    return "this network was given its values" if winner is None else (
        f"ours is the best of {winner['n_points']} drawn at random")


def _mfccs(settings, result):
    if result.get("winner_of_search") and result.get("table") in ("table2", "table3"):
        return "coefficients, mel bands and deltas that the validation songs chose, as each table says"
    return f"{settings['n_mfcc']} coefficients with the zeroth, {settings['n_mels']} mel bands"


def deviations(result):
    """Where the experiment is not, or may not be, the paper's: list of (topic, text)."""
    unknown = defaultdict(lambda: "unknown")
    settings = unknown | result.get("settings", {})
    training = unknown | result.get("settings", {}).get("training", {})
    return [
        ("Data set", "The paper's is GTZAN, 1,000 clips of 30 s; here "
                     f"{DATASETS.get(result.get('dataset'), 'another')}."),
        ("Split", "The paper's is 50/20/30 % of the songs, drawn we do not know how. Ours: "
                  f"{SPLITS.get(settings['split'], settings['split'])}; it is kept in seed-<n>/split.csv."),
        ("Frames", "The paper names no window for the DFT; ours: "
                   f"{settings['window'] or 'rectangular'}. A frame starts every {settings['hop_length']} samples."),
        ("Input scaling", f"Not stated; ours: “{settings['scaling']}”, fitted on the training songs alone, with "
                          f"{training['visible']} visible units."),
        ("Training", "Minibatch, initial weights and the rule of early stopping are not stated; ours: minibatches of "
                     f"{training['batch_size']}, the weights of the deeplearning.net tutorials, the end after "
                     f"{training['patience']} epochs without a lower validation error."),
        ("Hyper-parameters", f"The paper tried about 200 combinations and kept the best; {_chosen(result)}. Table 1 "
                             "shows the values, and the paper's."),
        ("MFCCs", f"No details in the paper; ours: {_mfccs(settings, result)}, from {value_text(settings['f_min'])} "
                  f"to {value_text(settings['f_max'])} Hz, {settings['mfcc_window']} window."),
        ("SVM", "C and γ are not stated; ours are chosen on the validation songs, never on the test songs, from the "
                "grids among the settings."),
        ("Tags", "“The same method as in [16]”, the paper says of its SVMs; ours: a tag holds from "
                 f"{settings['min_players']} players on, {settings['tag_folds']} folds by artist, as many clips "
                 "without a tag as with it, C and γ chosen within each SVM's training clips."),
        ("Software", "Theano then, PyTensor now; hours of training are of another machine and another decade."),
    ]
