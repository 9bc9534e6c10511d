"""What a person runs, outside production."""
