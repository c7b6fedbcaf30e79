"""The agent on a load machine: it drives engines, keeps their measurements, and reports to the coordinator."""
