"""A first version of a model's folder, written from a file of its past.

`evergreen.tools.data_file` reads the file, `plan` chooses, `render` writes the text, `new` puts it in place.
"""
