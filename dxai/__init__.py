"""dxai: standard AI for shared industrial data."""

__version__ = "0.1.0"
