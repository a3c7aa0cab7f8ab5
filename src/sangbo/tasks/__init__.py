"""What people do with a network, and how well it does it."""
