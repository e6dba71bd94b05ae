"""Which code shapes the weights of a network: a training goes on only while it stays the same."""

WEIGHT_CODE = (
    "src/sgseg/dataset/manifest.py",
    "src/sgseg/dataset/structure.py",
    "src/sgseg/inference/measure.py",
    "src/sgseg/inference/preprocess.py",
    "src/sgseg/inference/segment.py",
    "src/sgseg/nets",
    "src/sgseg/scores.py",
    "src/sgseg/training/augment.py",
    "src/sgseg/training/batches.py",
    "src/sgseg/training/checkpoint.py",
    "src/sgseg/training/cross_validation.py",
    "src/sgseg/training/devices.py",
    "src/sgseg/training/fold.py",
    "src/sgseg/training/fused.py",
    "src/sgseg/training/reproducible.py",
    "src/sgseg/training/scoring.py",
    "src/sgseg/training/soft_labels.py",
)
"""Files and folders of the project; what only writes, draws or runs a finished network is not."""
