"""Speaks the Data API v2.0 over HTTP; knows neither dlt's resources nor destinations."""
