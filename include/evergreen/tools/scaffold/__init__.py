"""A first version of a model's folder, written from a file of its past.

`columns` says what the file holds, `plan` what follows from it, `files` how that is written, `new` puts it in place.
"""
