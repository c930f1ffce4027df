"""The model that ships with the package, ``dbn/trained/synthetic-demo.npz``: Table 1's of the embedded corpus."""
from dbn.errors import DBNError
from dbn.trained.archive import SHIPPED
from dbn.trained.model import save_model
from experiments.steps.options import parse, run_script
from experiments.steps.pipeline import prepared_runs


def main(argv=None):
    """Train the network unless an earlier script has, and copy it into the package."""
    options = parse(__doc__, argv)
    if options.dataset != "synthetic":
        raise DBNError("--dataset must be synthetic: no model of anybody's music is shipped")
    _, [run, *_] = prepared_runs(options)
    path = SHIPPED / f"synthetic-{options.profile_name}.npz"
    save_model(path, run.model)
    print(path)


if __name__ == "__main__":
    run_script(main)
