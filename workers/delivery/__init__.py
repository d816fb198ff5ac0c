"""Sending results to other systems: the forms they travel in, and the loop that sends them."""
