"""The steps of a deploy, a file each, in the order of deploy.py; only they read host.data."""
