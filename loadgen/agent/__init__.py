"""What runs on a load machine: it drives engines, keeps what they measure, and reports to the coordinator."""
