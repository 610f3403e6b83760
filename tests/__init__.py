"""Promises of the pipeline, one file each."""
