"""The report: one HTML file that opens anywhere."""

from .write import LANGUAGES, REPORT, write_report

__all__ = ["LANGUAGES", "REPORT", "write_report"]
