"""Verified model files for the other Macs of a site: which there are, and their bytes.

Imports `http`, for ranges.
"""
