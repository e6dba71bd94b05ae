"""sgseg: segmentation of stress granules in fluorescence microscopy, from a lab's own few masks."""

__version__ = "0.1.0"
