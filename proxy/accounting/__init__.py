"""What requests cost: tokens read off answers in passing, or estimated; books, metrics, access log.

`charging` is where all of it comes together for one request. Imports `keys`, for limits.
"""
