"""Files that a deploy writes on a Mac: their templates, and all of them to the byte."""
