"""Figures of a period, added up in the destination by the views' queries; nothing is created there."""

from .period import Days
from .read import Figures, LeftOut, read_figures
from .trust import Trust

__all__ = ["Days", "Figures", "LeftOut", "Trust", "read_figures"]
