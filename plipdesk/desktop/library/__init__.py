"""Collections and slides, with what has become of each."""
