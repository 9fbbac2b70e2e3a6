"""What benchmarks/parity.py needs: a made-up log of every kind of column, models that cover every setting, ways to a prediction."""
