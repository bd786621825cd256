"""From one request to one reply."""
