"""The TCP forward proxy: splice or copy, half-close, limits, counters."""
