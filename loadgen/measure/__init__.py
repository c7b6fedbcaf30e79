"""What happened: records, histograms, tallies, snapshots and the ledger.  Pure; numpy at most."""
