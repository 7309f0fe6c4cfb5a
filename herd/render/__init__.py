"""Every file of every host without a connection, and what differs from another commit."""
