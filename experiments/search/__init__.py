"""The search for hyper-parameters (§4.1): points, rungs, records, workers, report."""
