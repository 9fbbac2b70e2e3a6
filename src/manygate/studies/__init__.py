"""This room reproduces studies of papers: it trains a grid of runs, and compares the results with the claims of the paper."""
