"""What is live: who types, who has read how far, who is here."""
