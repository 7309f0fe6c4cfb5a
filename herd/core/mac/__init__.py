"""A Mac: who it is, what a stack asks of it, where things live, launchd's jobs, command lines."""
