"""Load machines behind one seam, whatever connects them."""
