"""The doors: how studies and report texts come in. They know neither Redis nor torch."""
