"""The operator: resources in, Deployments and the fleet config out."""
