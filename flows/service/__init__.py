"""What one machine needs to work by itself: server, worker, deployments, automations, restarts, notices, doctor."""
