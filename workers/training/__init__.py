"""From labelled data to a measured and calibrated model package."""
