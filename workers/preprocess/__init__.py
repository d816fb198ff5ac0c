"""From stored bytes to the numbers and tokens that a model takes."""
