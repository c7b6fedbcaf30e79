"""Metrics of a run in progress for OpenTelemetry, by OTLP over HTTP."""
