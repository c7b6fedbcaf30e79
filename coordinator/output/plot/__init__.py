"""Figures and tables for papers, from records: what is drawn is pure data until it is saved."""
