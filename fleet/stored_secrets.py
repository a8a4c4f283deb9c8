"""Secrets that we hand out (session cookies, credentials of devices and filters): what the database keeps of them."""

import hashlib


def digest(secret: str) -> str:
    """What is stored of a secret with 256 random bits: its SHA-256, hex. Not for passwords, which people choose."""
    return hashlib.sha256(secret.encode()).hexdigest()
