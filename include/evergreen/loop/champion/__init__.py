"""Champion: is the challenger better, may it serve, and who serves now."""
