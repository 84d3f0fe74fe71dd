"""What must survive: points, plans, reports, undo, leases, audit."""
