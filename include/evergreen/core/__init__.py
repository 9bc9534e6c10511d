"""The foundations that every stage of the loop stands on."""
