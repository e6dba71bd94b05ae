"""Two evaluated cross-validations side by side, image by image. Files in, tables and text out."""
