"""Fits the models that users have today, LightGBM above all, on the rows of a comparison: one model for each task."""
