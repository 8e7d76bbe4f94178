"""The admin API: endpoints for administrators, in the style that tools know from Synapse."""
