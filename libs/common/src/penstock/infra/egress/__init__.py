"""What a tenant may make us connect to: URLs read once, addresses judged, connections pinned."""
