"""The half of medqueue that looks at pixels and texts: preparation, models, inference, training."""
