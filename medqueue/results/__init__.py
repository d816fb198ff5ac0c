"""Results: reading what the ledger has concluded, as a feed and as histories."""
