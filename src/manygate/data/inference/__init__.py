"""A first schema from the names and the values of a log's columns."""
