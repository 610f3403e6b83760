"""Loads call tracking data from CoMagic, UIS, CallGear and Novofon (Data API v2.0)."""

from .api.credentials import KeyCredentials, LoginCredentials
from .exceptions import ComagicError, ConfigurationError
from .extract.progress import Journal
from .extract.resources import comagic_source

__all__ = ["ComagicError", "ConfigurationError", "Journal", "KeyCredentials", "LoginCredentials", "comagic_source"]
