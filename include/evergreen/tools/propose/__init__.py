"""Propose a model's `expectations.py` from partitions that have landed.

`facts` is what several partitions showed, `rules` what follows from it and with how much room, `source` how that is
written as Python, `propose` reads the landing zone and tries the result on the partitions it was made from.
"""
