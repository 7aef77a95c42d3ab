"""What service and workers agree on: settings, the doorbell, the store, and what a job is asked to do."""
