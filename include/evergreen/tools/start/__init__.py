"""A model's first steps on a running stack: what has landed comes in, a first champion, and checks of the past."""
