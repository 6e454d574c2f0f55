"""Local mode: the same fleet on one machine; replicas are processes, manifests come from files."""
