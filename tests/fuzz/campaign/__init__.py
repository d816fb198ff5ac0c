"""Mutated PDUs and mutated files, by the thousand, from a seed: no crash, no hang, no growth."""
