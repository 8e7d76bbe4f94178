"""Clock, tasks, bridge to Twisted, observation."""
