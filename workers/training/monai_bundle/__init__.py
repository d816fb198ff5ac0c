"""Importing a MONAI bundle for image classification as a model package: read as data, never run."""
