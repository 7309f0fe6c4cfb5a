"""`make roll`, `upgrade` and `rollback`: a change that goes through the herd from Mac to Mac."""
