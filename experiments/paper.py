"""The numbers that the paper prints, to stand beside ours (Hamel & Eck, ISMIR 2010)."""

# Table 1: hyper-parameters and training statistics of the chosen DBN
TABLE1 = {
    "Number of hidden layers": 3,
    "Units per layer": 50,
    "Unsupervised learning rate": 0.001,
    "Supervised learning rate": 0.1,
    "Number of unsupervised epochs": 5,
    "Number of supervised epochs": 474,
    "Total training time (hours)": 104,
    "Classification accuracy": 0.737,
}

# Table 2: song accuracy, one SVM on single frames; Table 3: on windows of 5 s
TABLE2 = {"MFCCs": 0.630, "Layer 1": 0.735, "Layer 2": 0.770, "Layer 3": 0.735, "All Layers": 0.770}
TABLE3 = {"MFCCs": 0.790, "Layer 1": 0.800, "Layer 2": 0.837, "Layer 3": 0.830, "All Layers": 0.843}

# Table 4: mean accuracy over 25 tags and its standard error
TABLE4 = {"DBN": (0.73, 0.02), "MIM": (0.70, 0.02)}
# what MajorMiner's authors reported, on 25 tags of their own choice (Mandel & Ellis 2008)
MAJORMINER_AUTHORS = 0.672

# songs of its 50/20/30 split of 1,000
SONGS = {"train": 500, "valid": 200, "test": 300}
