"""The model that serves today becomes the first champion: by its predictions, or by its file."""
