"""The types of run.json, from which run.schema.json is generated: `python -m coordinator.record.schema`."""
