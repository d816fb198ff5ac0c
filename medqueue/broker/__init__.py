"""The broker: Celery on Redis, and the relay that rings it. A doorbell, never the truth."""
