"""Turns the catalog into dlt resources; knows no destination."""
