"""telemetry: what operators see. Logs, metrics and traces.

Takes exchanges, counts and log records; gives lines, expositions and spans. Knows core and config; OpenTelemetry lives
here and is imported only where a configuration names a collector. Nothing here awaits or raises on the request path.
"""
