"""Reports as HTML: one file that makes no request, from the records of one run or several."""
