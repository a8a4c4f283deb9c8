"""The agent's version: a constant, because a zipapp has no metadata and must not read that of another installation."""

VERSION = "0.1.0"
"""Held equal to the distribution's by a test."""
