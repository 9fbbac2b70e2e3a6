"""A search for good settings: its space, its trials, and what the best settings gain."""
