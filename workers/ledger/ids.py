"""Names of things: a prefix that says what it is, and 80 random bits."""

import base64
import secrets

Prefix = str


def new_id(prefix: Prefix) -> str:
    """A fresh name, `job_…`, `sld_…`; nobody can guess another tenant's."""
    return f"{prefix}_{base64.b32encode(secrets.token_bytes(10)).decode().lower()}"
