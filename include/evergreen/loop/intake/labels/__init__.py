"""How complete the labels of each partition are, and what follows: what is held back, who is told."""
