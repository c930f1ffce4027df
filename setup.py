"""Everything about the package stands in setup.cfg, but for what setup.cfg cannot say: which packages there are."""
from setuptools import find_packages, setup

setup(
    # the scripts stay in the repository; in their place an installed package says so
    packages=[*find_packages(include=["dbn*"]), "experiments"],
    package_dir={"experiments": "dbn/cli/no_experiments"},
)
