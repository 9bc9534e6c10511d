"""Two releases of the project, and the change from one to the other while the loop works."""
