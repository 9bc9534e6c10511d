"""Who is told what about a check, and in which words: what matters first."""
