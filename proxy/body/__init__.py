"""The one meaning of a request's body, read as it comes: its model, its media URLs. Pure.

`body_reader` walks, `json_object` and `multipart` are the walks, `named_model` chooses one.
Imports `http`.
"""
