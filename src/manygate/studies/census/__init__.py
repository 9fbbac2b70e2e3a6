"""The census study of MMoE (Ma et al., KDD 2018, section 6.3), made anew: every method tuned, retrained, and held against Tables 1
and 2."""
