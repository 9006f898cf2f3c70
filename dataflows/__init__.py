"""The Bytewax pipelines: the realtime job and backtests. The only package that knows Bytewax."""
