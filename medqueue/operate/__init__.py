"""Running and mending the system: supervisor, sender, status, doctor, demo, benchmarks."""
