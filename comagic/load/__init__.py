"""Knows the destination; prints nothing."""
