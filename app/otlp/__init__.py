"""OpenTelemetry: traces, metrics and records, sent to collectors over OTLP. Not loaded where it is off."""
