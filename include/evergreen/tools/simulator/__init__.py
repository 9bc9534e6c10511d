"""The feed simulator: lands real rows, partition by partition, as a producer would."""
