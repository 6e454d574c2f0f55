"""The pools of one fleet, as Deployments: what is known of them, their template, their number, their end."""
