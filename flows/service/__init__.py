"""What one machine needs to work by itself: Prefect server, worker, deployments, automations, restarts, notifications, doctor."""
