"""OpenTelemetry: one trace per call. Only ``starting`` is imported unless it is on."""
