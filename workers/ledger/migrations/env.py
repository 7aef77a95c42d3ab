"""How Alembic reaches the ledger: the URL comes from the caller, the tables from `workers.ledger.schema`."""

from alembic import context

from workers.ledger.database import open_ledger
from workers.ledger.schema import metadata


def run() -> None:
    """Run the migrations that are asked for in one transaction."""
    ledger = open_ledger(context.config.attributes["url"])
    try:
        with ledger.write() as connection:
            context.configure(
                connection=connection, target_metadata=metadata, render_as_batch=True, transaction_per_migration=False
            )
            with context.begin_transaction():
                context.run_migrations()
    finally:
        ledger.close()


run()
