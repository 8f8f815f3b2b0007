"""DuckDB tables over an output's parquet files, and the queries of the app."""
