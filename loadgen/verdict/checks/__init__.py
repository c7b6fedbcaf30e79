"""Trust checks, one per file: may the measurements of the load generator be believed?

A check is a pure function from the evidence of a run to a :class:`~loadgen.verdict.result.Check`, to several of them,
or to None when it does not apply to the run.  :mod:`loadgen.verdict.checks.catalog` lists all of them in report order.
"""
