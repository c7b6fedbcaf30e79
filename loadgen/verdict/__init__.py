"""Conforming?  Trustworthy?  How sure?  Pure functions from measurements to findings."""
