"""What is live in rooms: who types, who has read how far."""
