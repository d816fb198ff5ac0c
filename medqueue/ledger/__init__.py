"""The ledger: the SQL database that is the truth about everything accepted."""
