"""Studies of papers, made anew: each a grid of runs, what came of them, and a page that holds them against the paper's claims."""
