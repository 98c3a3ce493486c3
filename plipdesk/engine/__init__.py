"""Entry points, job queue, supervisor, worker and reader processes, messages and client."""
