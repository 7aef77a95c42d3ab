"""The ledger: the SQL rows that are the truth about slides, jobs, bands and who may do what."""

from workers.ledger.database import Ledger, clock, migrate, newest_version, open_ledger, schema_version

__all__ = ["Ledger", "clock", "migrate", "newest_version", "open_ledger", "schema_version"]
