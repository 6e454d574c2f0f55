"""The worker: claims tasks, runs their steps, journals each. It never reads the Kubernetes API."""
