"""What a woken worker does: it takes what it can of what the ledger says is to be done, and hands it in."""
