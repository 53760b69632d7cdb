"""What the paper's authors measured: an NVIDIA RTX A6000 (48 GB), weights in 4 or 8 bits by bitsandbytes.

Where a source is a figure, its numbers are read from the vector graphics in the repository of the authors
(github.com/siyan-zhao/prepacking, figures/*.pdf) and are as exact as the drawing. A number that is not here was in no
copy that could be read, the numbers that the figures have in the paper among them.
"""
from __future__ import annotations

MODELS = ("Llama2-1.3B", "Llama2-7B", "Mistral-7B", "Llama2-13B")

# Seconds of a batch of 16 with prepacking and with full batching, in the order of MODELS; SamSum and RLHF were not
# drawn for 13B. figures/alldataset_comparison.pdf
Pairs = tuple[tuple[float, float], ...]
BY_DATASET: dict[str, dict[str, Pairs]] = {
    "prefill": {
        "wikitext256": ((0.328, 0.635), (1.554, 3.048), (1.642, 3.232), (2.968, 5.751)),
        "wikitext512": ((0.361, 0.883), (1.708, 4.224), (1.804, 4.416), (3.290, 8.075)),
        "mmlu": ((0.209, 0.696), (0.961, 3.324), (1.011, 3.429), (1.888, 6.390)),
        "alpaca": ((0.372, 0.697), (1.781, 3.333), (1.805, 3.367), (3.403, 6.380)),
        "samsum": ((0.488, 1.090), (2.324, 5.149), (2.436, 5.415)),
        "rlhf": ((0.729, 1.727), (3.435, 8.103), (3.561, 8.317)),
    },
    "ttft": {
        "wikitext256": ((0.384, 0.637), (1.725, 3.038), (1.817, 3.238), (3.211, 5.643)),
        "wikitext512": ((0.422, 0.895), (1.914, 4.249), (2.002, 4.439), (3.653, 8.138)),
        "mmlu": ((0.266, 0.702), (1.134, 3.309), (1.190, 3.430), (2.208, 6.406)),
        "alpaca": ((0.428, 0.700), (1.950, 3.338), (1.980, 3.366), (3.721, 6.389)),
        "samsum": ((0.548, 1.094), (2.521, 5.156), (2.616, 5.363)),
        "rlhf": ((0.802, 1.736), (3.673, 8.130), (3.762, 8.317)),
    },
}

# Speed-ups of prefilling at BATCH_SIZES; a line that ends early ends early here.
# figures/ablation_speed_up_over_batch_size_both_models.pdf
BATCH_SIZES = (4, 8, 16, 32, 64)
BY_BATCH_SIZE: dict[str, dict[str, tuple[float, ...]]] = {
    "Llama2-1.3B": {
        "alpaca": (1.21, 1.47, 1.87, 2.32, 2.85),
        "rlhf": (1.41, 1.81, 2.37, 2.87),
        "mmlu": (1.47, 2.30, 3.33, 4.69, 6.22),
        "samsum": (1.34, 1.72, 2.24, 2.76),
        "wikitext256": (1.39, 1.70, 1.94, 2.07, 2.16),
        "wikitext512": (1.48, 1.91, 2.45, 2.98, 3.50),
    },
    "Llama2-7B": {
        "alpaca": (1.20, 1.48, 1.87, 2.32),
        "rlhf": (1.40, 1.81, 2.36),
        "mmlu": (1.50, 2.34, 3.46, 4.69),
        "samsum": (1.34, 1.74, 2.22),
        "wikitext256": (1.40, 1.72, 1.96, 2.07),
        "wikitext512": (1.47, 1.94, 2.47, 2.98),
    },
}

# Milliseconds a prompt at batch sizes 8, 16 and 32 (Mistral's RLHF ends at 16). figures/dataset_level_ablation.pdf
DATASET_LEVEL_BATCH_SIZES = (8, 16, 32)
DATASET_LEVEL: dict[str, dict[str, dict[str, tuple[float, ...]]]] = {
    "Llama2-1.3B": {
        "mmlu": {"prepacking": (12.9, 7.6, 5.6), "dataset-prepacking": (5.4, 5.2, 5.1),
                 "full-batching": (18.1, 18.7, 22.8), "length-ordered": (13.8, 9.0, 7.1)},
        "alpaca": {"prepacking": (14.9, 10.9, 9.6), "dataset-prepacking": (9.4, 9.0, 8.7),
                   "full-batching": (19.1, 19.2, 21.4), "length-ordered": (15.4, 12.1, 11.7)},
        "rlhf": {"prepacking": (23.8, 20.8, 19.8), "dataset-prepacking": (21.7, 21.5, 21.6),
                 "full-batching": (41.2, 47.7, 56.0), "length-ordered": (23.8, 21.7, 21.8)},
    },
    "Mistral-7B": {
        "mmlu": {"prepacking": (48.9, 33.1, 25.4), "dataset-prepacking": (22.0, 21.1, 21.0),
                 "full-batching": (76.7, 83.2, 102.0), "length-ordered": (49.7, 36.2, 30.6)},
        "alpaca": {"prepacking": (62.8, 47.9, 41.3), "dataset-prepacking": (39.9, 37.9, 36.3),
                   "full-batching": (80.4, 80.5, 89.2), "length-ordered": (63.2, 52.4, 50.8)},
        "rlhf": {"prepacking": (104.5, 90.7), "dataset-prepacking": (85.4, 84.6),
                 "full-batching": (175.5, 200.1), "length-ordered": (102.5, 94.3)},
    },
}

# Of a linear fit of the speed-up over 313 batches, Llama2-1.3B. m: longest prompt, L: tokens, k: prompts, r: bins.
# figures/speedup_gain16llama1b5000.pdf; the data set is named in no copy that could be read
GAIN_R_SQUARED = {"m - L/k": 0.72, "r/k": 0.92}

# Seconds at batch sizes 1, 2, 4 .. 64, all prompts m tokens long. figures/batch_size_figure.pdf
BATCHING_SIZES = (1, 2, 4, 8, 16, 32, 64)
BATCHING: dict[int, tuple[float, ...]] = {
    50: (0.052, 0.034, 0.035, 0.046, 0.077, 0.138, 0.256),
    100: (0.032, 0.033, 0.046, 0.076, 0.136, 0.251, 0.506),
    200: (0.032, 0.046, 0.076, 0.136, 0.253, 0.508, 0.933),
    400: (0.046, 0.078, 0.140, 0.259, 0.521, 0.954, 1.907),
}

# MMLU, batches of 64, Llama2-1.3B in 4 bits, prefill: the example in the repository's README.
RESOURCES: dict[str, dict[str, float]] = {
    "prepacking": {"seconds": 0.441, "seconds_std": 0.347, "peak_mb": 4578.328, "max_use": 100.0, "mean_use": 91.156},
    "full-batching": {"seconds": 2.299, "seconds_std": 1.741, "peak_mb": 34599.695, "max_use": 100.0,
                      "mean_use": 99.719},
    "length-ordered": {"seconds": 0.658, "seconds_std": 0.815, "peak_mb": 22950.019, "max_use": 100.0,
                       "mean_use": 97.865},
}


def speedup(metric: str, dataset: str, model: str) -> float | None:
    """Full batching over prepacking at batch size 16, or None where it was not drawn."""
    pairs = BY_DATASET.get(metric, {}).get(dataset, ())
    i = MODELS.index(model)
    return pairs[i][1] / pairs[i][0] if i < len(pairs) else None
