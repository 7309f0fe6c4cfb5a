"""Who may do what, and what is answered here; one decision a module, put in order by `policy`.

Implements `exchange.Policy` for the engine. Imports `keys`, `accounting` and `model_files`.
"""
