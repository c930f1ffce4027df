"""What the scripts share: options, the corpus and its networks, features, comparison, reporting, pictures."""
