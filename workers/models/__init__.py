"""Architectures, rules, and the packages that hold their weights."""
