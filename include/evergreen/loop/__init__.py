"""The eight stages, in their order: intake, features, training, champion, scoring, online, monitoring, alerts."""
