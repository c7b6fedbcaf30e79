"""Owns a run: command line, run state, fleet, live view, record and report."""
