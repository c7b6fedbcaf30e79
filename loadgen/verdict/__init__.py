"""Verdicts: pure functions from measurements to results.  Do the servers conform, and can the run be trusted?"""
