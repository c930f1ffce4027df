"""How features are judged (§5): SVMs, autotagging, intervals and tests."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "svm": ["RBFSVM", "select", "vote"],
    "autotag": ["TagResults", "TagScore", "compare_tags", "difference_interval", "evaluate_tags", "train_tags"],
    "stats": ["accuracy_interval", "bootstrap_interval", "corrected_resampled_t", "holm", "mcnemar_exact",
              "sign_flip_test", "sums_by_group", "wilson_interval"],
})
