"""The version. Packaging and documentation read it here."""

__version__ = "0.1.0.dev0"
