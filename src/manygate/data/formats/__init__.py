"""Files and dataframes of every format, opened as Arrow record batches: Parquet, Arrow, CSV, folders with partitions."""
