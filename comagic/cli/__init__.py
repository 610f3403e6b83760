"""The command line and the Cloud Function: the only place that prints."""
