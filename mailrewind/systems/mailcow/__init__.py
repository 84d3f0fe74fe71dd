"""A mailcow on this host: its volumes are read as files, its services are asked and told."""
